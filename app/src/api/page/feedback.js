// "That was a …": the true class goes back with the receipt of the last answer. Without receipts, feedback
// is off, and nothing of it is seen.

import { feedback } from "./service.js";

/** More classes than this are a list to choose from. */
const MOST_BUTTONS = 24;
const byId = (id) => document.getElementById(id);

function buttons(classes, send) {
  return classes.map((name, label) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: name });
    button.addEventListener("click", () => send(label));
    return button;
  });
}

function list(classes, send) {
  const select = document.createElement("select");
  select.setAttribute("aria-label", "The true class");
  select.append(new Option("Choose", ""), ...classes.map((name, label) => new Option(name, label)));
  select.addEventListener("change", () => {
    if (select.value !== "") send(Number(select.value));
    select.value = "";
  });
  return [select];
}

export class Feedback {
  #answer = null;

  constructor(classes) {
    this.classes = classes;
    const controls = classes.length > MOST_BUTTONS ? list : buttons;
    byId("truths").append(...controls(classes, (label) => this.#send(label)));
  }

  /** Of the picture that is on the board now; null where there is none. */
  about(answer) {
    this.#answer = answer?.receipt ? answer : null;
    if (answer) byId("feedback").hidden = !answer.receipt;
    byId("truths").disabled = !this.#answer;
    byId("thanks").textContent = "";
  }

  async #send(label) {
    const { receipt, name } = this.#answer;
    byId("truths").disabled = true;
    try {
      const { correct, counted } = await feedback(receipt, label);
      const judged = correct ? `the model was right` : `${this.classes[label]}, not ${name}`;
      byId("thanks").textContent = counted ? `Thank you: ${judged}.` : "That answer was counted before.";
    } catch (error) {
      byId("thanks").textContent = `Not counted: ${error.message}`;
      byId("truths").disabled = false;
    }
  }
}
