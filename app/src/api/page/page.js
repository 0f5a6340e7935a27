// The page: whatever changes on the board is shown to the model, one picture at a time, the newest first.

import { Answer } from "./answer.js";
import { Board } from "./board.js";
import { Feedback } from "./feedback.js";
import { obtain } from "./key.js";
import { model, predict } from "./service.js";

/** From one picture of a drawing to the next: ten answers a second look live, more are only load. */
const PAUSE = 100;
const byId = (id) => document.getElementById(id);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const notice = (text) => (byId("notice").textContent = text);

function start(served) {
  document.title = byId("title").textContent = served.title;
  const board = new Board(byId("board"), byId("canvas"), byId("pen"), served.input);
  const answer = new Answer(served);
  const feedback = new Feedback(served.classes);
  const inColour = served.input.channels > 1;
  byId("board").classList.toggle("colours", inColour);
  byId("colour").hidden = !inColour;
  if (inColour) board.colour = byId("colour").value;

  let changed = false;
  let looking = false;

  function show(seen) {
    if (seen) answer.show(seen);
    else answer.idle();
    feedback.about(seen);
  }

  /** Until what the page shows is of what the board shows. */
  async function look() {
    changed = true;
    if (looking) return;
    looking = true;
    while (changed) {
      changed = false;
      if (board.isBlank) {
        notice("");
        show(null);
        continue;
      }
      try {
        show(await predict(await board.picture()));
        notice("");
      } catch (error) {
        notice(error.message);
        if (error.needsKey) {
          changed = true;
          await obtain();
        } else if (error.retryAfter > 0) {
          changed = true;
          await pause(1000 * error.retryAfter);
        } else {
          show(null);
        }
      }
      await pause(PAUSE);
    }
    looking = false;
  }

  board.addEventListener("change", () => {
    byId("board").classList.toggle("blank", board.isBlank);
    byId("board").classList.toggle("photo", board.isPhoto);
    byId("undo").disabled = byId("clear").disabled = board.isBlank;
    look();
  });

  async function open(file) {
    if (!file) return;
    try {
      await board.show(file);
    } catch {
      notice("This browser does not read that file as a picture.");
    }
  }

  byId("colour").addEventListener("input", ({ target }) => (board.colour = target.value));
  byId("undo").addEventListener("click", () => board.undo());
  byId("clear").addEventListener("click", () => board.clear());
  byId("open").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", ({ target }) => {
    open(target.files[0]);
    target.value = "";
  });
  addEventListener("paste", ({ clipboardData }) => open(clipboardData.files[0]));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    open(event.dataTransfer.files[0]);
  });
}

/** What is served, with a key that opens if one is needed. */
async function served() {
  for (;;) {
    try {
      return await model();
    } catch (error) {
      if (!error.needsKey) throw error;
      notice(error.message);
      await obtain();
      notice("");
    }
  }
}

try {
  start(await served());
} catch (error) {
  notice(`The model cannot be asked: ${error.message}`);
}
