// The board: strokes by pointer or keyboard, or a photo. Says `change` whenever its picture is another one.
//
// Strokes are kept in the model's own pixels and drawn dark on nothing: the service chooses the ground,
// and the style sheet turns them bright where the page is dark.

/** Sides of the picture that is sent, about: enough to be seen sharply. */
const SIDE = 448;
/** Width of the pen, as a share of the board. */
const PEN = 0.085;
/** A photo is brought to this side: what a phone takes is larger than the service reads. */
const PHOTO_SIDE = 800;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Board extends EventTarget {
  colour = "#1c1b18";
  #strokes = [];
  #photo = null;
  /** The stroke that is being drawn, if one is. */
  #open = null;
  #pen;

  constructor(element, canvas, pen, shape) {
    super();
    Object.assign(this, { element, canvas, shape, mark: pen });
    const scale = Math.max(1, Math.ceil(SIDE / Math.max(shape.width, shape.height)));
    canvas.width = shape.width * scale;
    canvas.height = shape.height * scale;
    this.#pen = [shape.width / 2, shape.height / 2];
    element.style.aspectRatio = `${shape.width} / ${shape.height}`;
    element.addEventListener("pointerdown", (event) => this.#down(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      element.addEventListener(end, () => (this.#open = null));
    }
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("focus", () => this.#showPen());
    element.addEventListener("blur", () => {
      this.#open = null;
      this.#showPen();
    });
  }

  get isBlank() {
    return !this.#photo && this.#strokes.length === 0;
  }

  get isPhoto() {
    return this.#photo !== null;
  }

  undo() {
    if (this.#photo) return this.clear();
    this.#strokes.pop();
    this.#changed();
  }

  clear() {
    this.#strokes = [];
    this.#photo = null;
    this.#changed();
  }

  /** Takes any picture that the browser reads. */
  async show(file) {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, PHOTO_SIDE / Math.max(bitmap.width, bitmap.height));
    const small = document.createElement("canvas");
    small.width = Math.max(1, Math.round(bitmap.width * scale));
    small.height = Math.max(1, Math.round(bitmap.height * scale));
    small.getContext("2d").drawImage(bitmap, 0, 0, small.width, small.height);
    this.#strokes = [];
    this.#photo = small;
    this.#changed();
  }

  /** A PNG of the strokes, or of the photo. */
  picture() {
    const canvas = this.#photo ?? this.canvas;
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  #down(event) {
    if (!event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    this.element.focus({ focusVisible: false });
    this.element.setPointerCapture(event.pointerId);
    this.#begin(this.#place(event));
  }

  #move(event) {
    if (!this.#open || !event.isPrimary) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    this.#open.points.push(...(passed.length ? passed : [event]).map((at) => this.#place(at)));
    this.#changed();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.shape;
    return [
      ((event.clientX - box.left) / box.width) * width,
      ((event.clientY - box.top) / box.height) * height,
    ];
  }

  #begin(point) {
    this.#photo = null;
    this.#pen = point;
    this.#open = { colour: this.colour, points: [point] };
    this.#strokes.push(this.#open);
    this.#changed();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEPS[event.key];
    if (step) {
      const clamp = (value, most) => Math.min(Math.max(value, 0), most);
      const [x, y] = this.#pen;
      const pace = event.shiftKey ? 4 : 1;
      const { width, height } = this.shape;
      this.#pen = [clamp(x + pace * step[0], width), clamp(y + pace * step[1], height)];
      if (this.#open) {
        this.#open.points.push(this.#pen);
        this.#changed();
      }
    } else if (event.key === " ") {
      if (event.repeat) return event.preventDefault();
      if (this.#open) this.#open = null;
      else this.#begin(this.#pen);
    } else if (event.key === "Backspace") {
      this.undo();
    } else if (event.key === "Delete") {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
    this.#showPen();
  }

  #showPen() {
    this.mark.hidden = !this.element.matches(":focus-visible");
    this.mark.classList.toggle("lowered", this.#open !== null);
    this.mark.style.left = `${(100 * this.#pen[0]) / this.shape.width}%`;
    this.mark.style.top = `${(100 * this.#pen[1]) / this.shape.height}%`;
  }

  #changed() {
    if (!this.#strokes.includes(this.#open)) this.#open = null;
    this.#draw();
    this.dispatchEvent(new Event("change"));
  }

  #draw() {
    const { canvas, shape } = this;
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (this.#photo) {
      const { width, height } = this.#photo;
      const scale = Math.min(canvas.width / width, canvas.height / height);
      const [w, h] = [width * scale, height * scale];
      context.drawImage(this.#photo, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
      return;
    }
    context.scale(canvas.width / shape.width, canvas.height / shape.height);
    context.lineWidth = PEN * Math.max(shape.width, shape.height);
    context.lineCap = context.lineJoin = "round";
    for (const { colour, points } of this.#strokes) {
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(...points[0]);
      // Through the middles between points, bent by the points: a hand draws no corners.
      for (let i = 1; i < points.length - 1; i += 1) {
        const middle = [0, 1].map((axis) => (points[i][axis] + points[i + 1][axis]) / 2);
        context.quadraticCurveTo(...points[i], ...middle);
      }
      // A line of no length is not drawn, and a touch is a dot.
      const [x, y] = points.at(-1);
      context.lineTo(points.length === 1 ? x + 0.01 : x, y);
      context.stroke();
    }
  }
}
