// The key with which the page asks, where the service wants one. It stays in this tab and is gone when that is closed.

const NAME = "key";
const byId = (id) => document.getElementById(id);

/** The headers that say who asks; none where nobody gave a key. */
export const credentials = () => {
  const key = sessionStorage.getItem(NAME);
  return key ? { "x-api-key": key } : {};
};

/** Asks for a key, and waits until there is one. */
export async function obtain() {
  const form = byId("access");
  form.hidden = false;
  byId("key").focus();
  await new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      // Nothing else can be sent in a header.
      if (/^[!-~]+$/.test(byId("key").value.trim())) resolve();
    };
  });
  sessionStorage.setItem(NAME, byId("key").value.trim());
  byId("key").value = "";
  form.hidden = true;
}
