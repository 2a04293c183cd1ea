// One camera on the wall.

import { el, fresh, mark, say } from "./dom.js";
import { ageOf, clock, look, quietFor, rates, seconds, share, treatment } from "./words.js";

/** Whether a picture shows the frame twice, before and after, beside each other. */
export function isPair(bitmap, size) {
  return Boolean(size) && bitmap.width / bitmap.height > (1.5 * size[0]) / size[1];
}

/** A level between 0 and 1 as a bar with its number; `raining` colours it. */
export function meter(label) {
  const bar = el("span", { class: "meter-bar" });
  const number = el("span", { class: "meter-number" });
  const node = el(
    "span",
    { class: "meter" },
    el("span", { class: "meter-label" }, label),
    el("span", { class: "meter-track", "aria-hidden": "true" }, bar),
    number,
  );
  return {
    node,
    set(value, raining) {
      bar.style.setProperty("--level", value ?? 0);
      mark(node, "data-raining", raining ? "yes" : "no");
      say(number, share(value));
    },
  };
}

/** A camera's state, as a dot and a word in a colour. */
export function chip() {
  const word = el("span");
  const node = el(
    "span",
    { class: "chip" },
    el("span", { class: "dot", "aria-hidden": "true" }),
    word,
  );
  return {
    node,
    set(tone, label) {
      mark(node, "data-tone", tone);
      say(word, label);
    },
  };
}

export class Tile {
  #canvas = el("canvas", { class: "picture", role: "img", width: 16, height: 9 });
  #veil = el("p", { class: "veil" }, el("strong"), el("span"));
  #chip = chip();
  #rate = el("span");
  #age = el("span");
  #rain = meter("Rain");
  #done = el("p", { class: "treatment" });
  #view = null;
  #drawn = false;
  #waiting = false; // for the first picture, and for nothing else

  constructor(name) {
    this.name = name;
    const id = fresh("tile");
    mark(this.#canvas, "aria-label", `Live picture of ${name}`);
    this.link = el("a", { href: `#/camera/${encodeURIComponent(name)}`, class: "tile-link" }, name);
    this.frame = el("div", { class: "frame" }, this.#canvas, this.#veil);
    this.node = el(
      "li",
      { class: "tile", "data-camera": name },
      el(
        "article",
        { "aria-labelledby": id },
        this.frame,
        el(
          "div",
          { class: "caption" },
          el("div", { class: "tile-head" }, el("h2", { id }, this.link), this.#chip.node),
          el("p", { class: "figures" }, this.#rate, this.#age, this.#rain.node),
          this.#done,
        ),
      ),
    );
    this.draw = (bitmap) => this.#draw(bitmap);
  }

  #draw(bitmap) {
    if (!isPair(bitmap, this.#view?.size)) {
      const canvas = this.#canvas;
      if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
        canvas.width = bitmap.width;
        canvas.height = bitmap.height;
      }
      canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
      if (!this.#drawn && this.#waiting) this.#veil.hidden = true;
      this.#drawn = true;
      mark(this.node, "data-drawn", "yes");
    }
    bitmap.close();
  }

  /**
   * Shows what the server says, as of now.
   *
   * @param frozen whether the pictures stand still because the person wants that
   */
  update(view, live, now, frozen) {
    this.#view = view;
    const { since, fps } = live.freshness(this.name, now);
    const connected = live.link === "open";
    const quiet = quietFor(since, fps);
    const seen = look(view, connected, quiet);
    mark(this.node, "data-tone", seen.tone);
    mark(this.node, "data-sure", seen.sure ? "yes" : "no");
    this.#chip.set(seen.tone, seen.label);
    const known = connected && view.state === "live";
    say(this.#rate, known ? rates(view) : "– fps");
    say(this.#age, `${known ? seconds(ageOf(view, quiet, now - live.saidAt)) : "–"} old`);
    this.#rain.set(known ? view.rain : null, view.raining && known);
    const done = known ? treatment(view) : { text: "", tone: "" };
    say(this.#done, done.text || (seen.sure || !connected ? "" : `since ${clock(view.since)}`));
    mark(this.#done, "data-tone", done.tone);
    this.#overlay(seen, frozen);
    return seen;
  }

  #overlay(seen, frozen) {
    let words = [seen.label, seen.detail];
    if (seen.sure)
      words = [frozen ? "Picture frozen" : this.#drawn ? "" : "Waiting for a picture", ""];
    else if (seen.label === "No picture") words = [seen.detail, ""];
    this.#waiting = seen.sure && !frozen && !this.#drawn;
    this.#veil.hidden = !words[0];
    say(this.#veil.firstChild, words[0]);
    say(this.#veil.lastChild, words[1]);
  }
}
