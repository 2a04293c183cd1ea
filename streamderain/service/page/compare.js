// Before and after in one picture, with a line between them that can be moved.

import { el, mark, say } from "./dom.js";

const STEP = 2; // per cent a key
const LEAP = 10;

export class Compare {
  #canvas = el("canvas", { class: "picture", width: 16, height: 9, role: "img" });
  #handle = el(
    "div",
    {
      class: "split",
      role: "slider",
      tabindex: "0",
      "aria-label": "Where before ends and after begins",
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      "aria-orientation": "horizontal",
    },
    el("span", { class: "knob", "aria-hidden": "true" }),
  );
  #tags = [
    el("span", { class: "tag before" }, "Before"),
    el("span", { class: "tag after" }, "After"),
  ];
  #pair = null;
  #position = 50;

  constructor(name) {
    mark(
      this.#canvas,
      "aria-label",
      `Live picture of ${name}: as it came left of the slider, derained right of it`,
    );
    this.node = el("div", { class: "compare" }, this.#canvas, ...this.#tags, this.#handle);
    this.node.addEventListener("pointerdown", (event) => this.#grab(event));
    this.node.addEventListener("pointermove", (event) => {
      if (this.node.hasPointerCapture(event.pointerId)) this.#follow(event);
    });
    this.#handle.addEventListener("keydown", (event) => this.#key(event));
    this.position = 50;
  }

  get position() {
    return this.#position;
  }

  /** Per cent of the width that show the picture as it came. */
  set position(percent) {
    this.#position = Math.min(100, Math.max(0, percent));
    const shown = Math.round(this.#position);
    this.node.style.setProperty("--split", `${this.#position}%`);
    mark(this.#handle, "aria-valuenow", shown);
    mark(this.#handle, "aria-valuetext", `${shown} % before, ${100 - shown} % after`);
    this.#tags[0].hidden = this.#position < 12;
    this.#tags[1].hidden = this.#position > 88;
    this.#paint();
  }

  /** Says what the right half is: derained, or why it is as it came. */
  set right(words) {
    say(this.#tags[1], words);
  }

  #grab(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.node.setPointerCapture(event.pointerId);
    this.#handle.focus({ preventScroll: true });
    this.#follow(event);
  }

  #follow(event) {
    const box = this.#canvas.getBoundingClientRect();
    this.position = (100 * (event.clientX - box.left)) / box.width;
  }

  #key(event) {
    const step = event.shiftKey ? LEAP : STEP;
    const moves = {
      ArrowLeft: -step,
      ArrowDown: -step,
      ArrowRight: step,
      ArrowUp: step,
      PageDown: -LEAP,
      PageUp: LEAP,
      Home: -100,
      End: 100,
    };
    if (!(event.key in moves) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.position += moves[event.key];
  }

  /** Takes a picture twice as wide as the camera's: before on its left half, after on its right. */
  draw(bitmap) {
    this.#pair?.close();
    this.#pair = bitmap;
    const width = bitmap.width / 2;
    if (this.#canvas.width !== width || this.#canvas.height !== bitmap.height) {
      this.#canvas.width = width;
      this.#canvas.height = bitmap.height;
      this.node.parentElement.style.setProperty("--ratio", width / bitmap.height);
    }
    this.#paint();
  }

  #paint() {
    const pair = this.#pair;
    if (!pair) return;
    const { width, height } = this.#canvas;
    const at = Math.round((width * this.#position) / 100);
    const context = this.#canvas.getContext("2d", { alpha: false });
    if (at > 0) context.drawImage(pair, 0, 0, at, height, 0, 0, at, height);
    if (at < width)
      context.drawImage(pair, width + at, 0, width - at, height, at, 0, width - at, height);
  }

  close() {
    this.#pair?.close();
    this.#pair = null;
  }
}
