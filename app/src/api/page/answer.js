// What the model said of the picture, and the array that it saw.

/** More bars than this are no picture of anything; then the likeliest are shown. */
const MOST_BARS = 12;
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const byId = (id) => document.getElementById(id);

function bar() {
  const row = document.createElement("li");
  const [name, track, share] = ["name", "track", "share"].map((part) => {
    const span = row.appendChild(document.createElement("span"));
    span.className = part;
    return span;
  });
  const fill = track.appendChild(document.createElement("span"));
  return { row, name, fill, share };
}

export class Answer {
  #last = "";

  constructor({ classes, input, version }) {
    Object.assign(this, { classes, input });
    this.bars = Array.from({ length: Math.min(classes.length, MOST_BARS) }, bar);
    byId("classes").replaceChildren(...this.bars.map(({ row }) => row));
    const { width, height } = input;
    Object.assign(byId("seen"), { width, height });
    byId("seen").style.aspectRatio = `${width} / ${height}`;
    byId("numbers").textContent = `${height} × ${width} × ${input.channels}`;
    byId("numbers").addEventListener("click", () => byId("array").showModal());
    byId("close").addEventListener("click", () => byId("array").close());
    byId("version").textContent = version;
    this.idle();
  }

  idle() {
    this.#verdict("?", "Draw something, and the model says what it sees.", true);
    this.#fill(this.classes.map(() => 0), -1);
    const { width, height } = this.input;
    byId("seen").getContext("2d").clearRect(0, 0, width, height);
    byId("numbers").disabled = true;
    byId("latency").textContent = byId("trip").textContent = "–";
    this.#last = "";
  }

  show({ label, name, confidence, probabilities, image, model_version, ms, inferMs }) {
    this.#verdict(name, `${percent(confidence)} sure`, false);
    this.#fill(probabilities, label);
    this.#see(image);
    byId("latency").textContent = Number.isNaN(inferMs) ? "–" : `${inferMs.toFixed(2)} ms`;
    byId("trip").textContent = `${ms.toFixed(0)} ms`;
    byId("version").textContent = model_version;
    // Not each of ten answers a second: only another one is worth interrupting whoever listens.
    if (name !== this.#last) byId("spoken").textContent = `${name}, ${percent(confidence)} sure`;
    this.#last = name;
  }

  #verdict(name, confidence, idle) {
    byId("name").textContent = name;
    byId("confidence").textContent = confidence;
    byId("verdict").classList.toggle("idle", idle);
  }

  #fill(probabilities, label) {
    const order = probabilities.map((_, index) => index);
    if (order.length > this.bars.length) {
      order.sort((one, other) => probabilities[other] - probabilities[one]);
    }
    this.bars.forEach(({ row, name, fill, share }, place) => {
      const index = order[place];
      name.textContent = this.classes[index] ?? index;
      fill.style.width = `${100 * probabilities[index]}%`;
      share.textContent = label < 0 ? "" : percent(probabilities[index]);
      row.classList.toggle("likeliest", index === label);
    });
  }

  #see(values) {
    const { width, height, channels } = this.input;
    const pixels = new ImageData(width, height);
    for (let i = 0; i < width * height; i += 1) {
      const [red, green = red, blue = red] = values.slice(i * channels, (i + 1) * channels);
      pixels.data.set([red, green, blue, 255], 4 * i);
    }
    byId("seen").getContext("2d").putImageData(pixels, 0, 0);
    const spelled = (value) => (value === 0 ? "·" : String(value)).padStart(4);
    const row = (_, y) => values.slice(y * width * channels, (y + 1) * width * channels);
    const rows = Array.from({ length: height }, row);
    byId("values").textContent = rows.map((row) => row.map(spelled).join("")).join("\n");
    byId("numbers").disabled = false;
  }
}
