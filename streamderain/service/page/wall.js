// The wall: every camera at a glance.

import { arrange, el, icon, mark, say } from "./dom.js";
import { pictureWidth } from "./live.js";
import { Tile } from "./tile.js";
import { plural } from "./words.js";

const FAST = 10; // frames a second on the wall,
const SLOW = 5; // where many are to be seen,
const CALM = 1; // and for people who asked for less motion
const MANY = 9;
const TALLEST = 1; // shapes of tiles, width by height
const WIDEST = 16 / 9;
const SIZES = [
  ["s", "Small"],
  ["m", "Medium"],
  ["l", "Large"],
];
const KEPT = "streamderain.tiles";

function kept() {
  try {
    return localStorage.getItem(KEPT) ?? "m";
  } catch {
    return "m"; // storage may be forbidden; then it isn't kept
  }
}

function keep(size) {
  try {
    localStorage.setItem(KEPT, size);
  } catch {
    // see above
  }
}

export class Wall {
  title = "Cameras";
  #app;
  #tiles = new Map();
  #visible = new Set();
  #frozen = false;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");
  #list = el("ul", { class: "wall", role: "list" });
  #summary = el("p", { class: "summary" });
  #trouble = el("ul", { class: "trouble", role: "list" });
  #troubled = el(
    "section",
    { class: "attention", "aria-label": "Cameras that need attention", hidden: true },
    el("span", { class: "attention-title" }, icon("alert"), "Needs attention"),
    this.#trouble,
  );
  #empty = null;
  #tools;
  #freeze;
  #watching;
  #measuring;
  #sizesSeen = "";
  #wishLater = () => this.#wish();

  constructor(app) {
    this.#app = app;
    this.heading = el("h1", { tabindex: "-1" }, "Cameras");
    this.#freeze = el(
      "button",
      {
        type: "button",
        class: "button",
        "aria-pressed": "false",
        on: { click: () => this.#toggle() },
      },
      icon("pause"),
      "Freeze pictures",
    );
    this.#tools = el("div", { class: "tools" }, this.#sizes(), this.#freeze);
    this.node = el(
      "div",
      { class: "wall-page" },
      el("div", { class: "page-head" }, el("div", {}, this.heading, this.#summary), this.#tools),
      this.#troubled,
      this.#list,
    );
    this.#watching = new IntersectionObserver((entries) => this.#seen(entries), {
      rootMargin: "80px",
    });
    this.#measuring = new ResizeObserver(() => this.#wish());
    this.#measuring.observe(this.#list);
    this.#calm.addEventListener("change", this.#wishLater);
  }

  #sizes() {
    const choose = (size) => {
      mark(this.#list, "data-size", size);
      keep(size);
    };
    const now = SIZES.some(([size]) => size === kept()) ? kept() : "m";
    choose(now);
    return el(
      "fieldset",
      { class: "segments sizes" },
      el("legend", { class: "hidden" }, "Size of the pictures"),
      SIZES.map(([size, label]) =>
        el(
          "label",
          { title: label },
          el("input", {
            type: "radio",
            name: "tiles",
            value: size,
            checked: size === now,
            "aria-label": label,
            on: { change: () => choose(size) },
          }),
          el("span", { "aria-hidden": "true" }, size.toUpperCase()),
        ),
      ),
    );
  }

  #toggle() {
    this.#frozen = !this.#frozen;
    mark(this.#freeze, "aria-pressed", String(this.#frozen));
    this.#wish();
    this.update(performance.now());
  }

  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const name = target.parentElement.parentElement.dataset.camera;
      if (isIntersecting) this.#visible.add(name);
      else this.#visible.delete(name);
    }
    this.#wish();
  }

  /** Asks for the pictures of the cameras that are in view, as wide as they are shown. */
  #wish() {
    const fps = this.#calm.matches ? CALM : this.#visible.size > MANY ? SLOW : FAST;
    for (const [name, tile] of this.#tiles) {
      const view = this.#app.live.cameras?.get(name);
      const shown = tile.frame.clientWidth;
      if (this.#frozen || !view || !shown || !this.#visible.has(name)) {
        this.#app.live.unwatch(name, tile.draw);
      } else {
        const width = pictureWidth(shown, view.size?.[0]);
        this.#app.live.watch(name, { view: "after", width, fps }, tile.draw);
      }
    }
  }

  update(now) {
    const { live } = this.#app;
    const cameras = live.cameras;
    this.#fit(cameras);
    if (!cameras) return;
    const troubled = [];
    let working = 0;
    let raining = 0;
    for (const [name, view] of cameras) {
      const seen = this.#tiles.get(name).update(view, live, now, this.#frozen);
      if (seen.tone === "ok") working += 1;
      if (seen.tone === "ok" && view.raining) raining += 1;
      if (seen.tone === "bad" || seen.tone === "warn") troubled.push([name, seen]);
    }
    const parts = [plural(cameras.size, "camera", "cameras"), `${working} live`];
    if (raining) parts.push(`rain at ${raining}`);
    if (live.link !== "open") parts.splice(0, parts.length, "No connection; nothing here is live");
    say(this.#summary, cameras.size ? parts.join(" · ") : "");
    this.#attend(live.link === "open" ? troubled : []);
  }

  #attend(troubled) {
    this.#troubled.hidden = troubled.length === 0;
    const wanted = troubled.map(([name, seen]) => `${name} · ${seen.label}`);
    if (
      wanted.join("\n") === [...this.#trouble.children].map((item) => item.textContent).join("\n")
    )
      return;
    this.#trouble.replaceChildren(
      ...troubled.map(([name, seen]) =>
        el(
          "li",
          { "data-tone": seen.tone },
          el("a", { href: `#/camera/${encodeURIComponent(name)}` }, name),
          ` · ${seen.label}`,
        ),
      ),
    );
  }

  /** Makes and removes tiles, so that there is one for each camera, in the server's order. */
  #fit(cameras) {
    const names = [...(cameras?.keys() ?? [])];
    const held = [...this.#tiles.keys()];
    const same = names.length === held.length && names.every((name, place) => name === held[place]);
    if (!same) {
      for (const [name, tile] of this.#tiles) {
        if (cameras?.has(name)) continue;
        this.#app.live.unwatch(name, tile.draw);
        this.#watching.unobserve(tile.frame);
        this.#visible.delete(name);
      }
      const tiles = new Map();
      for (const name of names) {
        const known = this.#tiles.get(name);
        const tile = known ?? new Tile(name);
        tiles.set(name, tile);
        if (!known) this.#watching.observe(tile.frame);
      }
      this.#tiles = tiles;
      arrange(
        this.#list,
        [...tiles.values()].map((tile) => tile.node),
      );
    }
    this.#vacant(cameras);
    this.#sharpen(cameras);
  }

  /** Asks anew where a camera's own size became known or changed. */
  #sharpen(cameras) {
    const sizes = [...(cameras?.values() ?? [])].map((view) => view.size?.join("x")).join();
    if (sizes === this.#sizesSeen) return;
    this.#sizesSeen = sizes;
    this.#reshape(cameras);
    this.#wish();
  }

  /** Gives all tiles the shape that most pictures have, or the one nearest to it. */
  #reshape(cameras) {
    const shapes = [...(cameras?.values() ?? [])]
      .filter((view) => view.size)
      .map(({ size: [width, height] }) => width / height)
      .sort((a, b) => a - b);
    const middle = shapes[Math.floor(shapes.length / 2)] ?? WIDEST;
    const shape = Math.min(WIDEST, Math.max(TALLEST, middle));
    this.#list.style.setProperty("--shape", shape.toFixed(4));
  }

  #vacant(cameras) {
    const state = !cameras ? "loading" : cameras.size === 0 ? "empty" : null;
    this.#tools.hidden = state !== null;
    if (state === this.#empty?.dataset.state) return;
    if (!state && !this.#empty) return;
    this.#empty?.remove();
    this.#empty = null;
    if (state === "loading") this.#empty = skeleton();
    if (state === "empty") this.#empty = this.#nothing();
    if (this.#empty) {
      this.#empty.dataset.state = state;
      this.node.append(this.#empty);
    }
  }

  #nothing() {
    const may = this.#app.session.may_change;
    return el(
      "section",
      { class: "vacant" },
      icon("full"),
      el("h2", {}, "No cameras yet"),
      el(
        "p",
        {},
        may
          ? "Add the first one by its RTSP address, or with scene:heavy to see a drawn street in the rain."
          : "Add cameras to the configuration file, or sign in with the token to add them here.",
      ),
      may
        ? el(
            "button",
            { type: "button", class: "button main", on: { click: () => this.#app.edit(null) } },
            icon("plus"),
            "Add camera",
          )
        : null,
    );
  }

  /** Puts the keyboard where it was before a camera was opened. */
  focus(name) {
    const link = this.#tiles.get(name)?.link;
    if (link) link.focus();
    else this.heading.focus();
  }

  close() {
    for (const [name, tile] of this.#tiles) this.#app.live.unwatch(name, tile.draw);
    this.#watching.disconnect();
    this.#measuring.disconnect();
    this.#calm.removeEventListener("change", this.#wishLater);
  }
}

function skeleton() {
  return el(
    "div",
    { class: "wall skeletons", "aria-hidden": "true" },
    [1, 2, 3, 4].map(() =>
      el(
        "div",
        { class: "tile skeleton" },
        el("div", { class: "frame" }),
        el("div", { class: "caption" }),
      ),
    ),
  );
}
