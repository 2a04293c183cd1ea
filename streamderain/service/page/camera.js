// A camera's own view: the live picture before and after, what was measured, and the controls.

import { ApiError, call, cameraPath } from "./api.js";
import { Compare } from "./compare.js";
import { Controls } from "./controls.js";
import { el, icon, mark, say } from "./dom.js";
import { Facts } from "./facts.js";
import { Chart } from "./history.js";
import { isPair, chip, meter } from "./tile.js";
import { pictureWidth } from "./live.js";
import { ageOf, clock, look, millis, quietFor, rates, seconds, share, treatment } from "./words.js";

const FPS = 15;
const HISTORY_MS = 2000;

export class CameraPage {
  #app;
  #compare;
  #veil = el("div", { class: "veil" }, el("strong"), el("span"));
  #chip = chip();
  #detail = el("p", { class: "state-detail" });
  #stage;
  #rain = meter("Rain");
  #done = el("span", { class: "treatment" });
  #figures = {};
  #controls;
  #facts = new Facts();
  #charts;
  #siblings = el("nav", { class: "siblings", "aria-label": "Other cameras" });
  #measuring;
  #seen = false;
  #watching;
  #body;
  #gone = null;
  #asked = 0;
  #drawn = false;
  #known = false; // it was there

  constructor(app, name) {
    this.#app = app;
    this.name = name;
    this.title = name;
    this.heading = el("h1", { tabindex: "-1" }, name);
    this.#compare = new Compare(name);
    this.#controls = new Controls(app, name);
    this.#charts = [
      new Chart({
        title: "Rain",
        key: "rain",
        most: 1,
        format: share,
        band: "derained",
        note: (moments) => `; ${share(derainedShare(moments))} of the frames derained`,
      }),
      new Chart({ title: "Latency", key: "latency_ms", most: null, format: millis, band: null }),
    ];
    this.node = this.#build();
    this.#measuring = new ResizeObserver(() => this.#wish());
    this.#measuring.observe(this.#stage);
    this.#watching = new IntersectionObserver((entries) => {
      this.#seen = entries.at(-1).isIntersecting;
      this.#wish();
    });
    this.#watching.observe(this.#stage);
  }

  #build() {
    const full = el(
      "button",
      {
        type: "button",
        class: "button icon-only full",
        "aria-label": "Full screen",
        title: "Full screen",
        on: { click: () => this.#fill() },
      },
      icon("full"),
    );
    full.hidden = !document.fullscreenEnabled;
    this.#stage = el(
      "div",
      { class: "stage", "data-drawn": "no" },
      this.#compare.node,
      this.#veil,
      full,
    );
    const figure = (key, label) => {
      this.#figures[key] = el("dd", {}, "–");
      return el("div", {}, el("dt", {}, label), this.#figures[key]);
    };
    this.#body = el(
      "div",
      { class: "camera-body" },
      el(
        "div",
        { class: "camera-main" },
        this.#stage,
        el("div", { class: "under" }, this.#done, this.#rain.node),
        el(
          "dl",
          { class: "card strip" },
          figure("fps", "Rate"),
          figure("age", "Age"),
          figure("size", "Size"),
          figure("latency", "Latency, 95 %"),
        ),
      ),
      el("div", { class: "camera-side" }, this.#controls.node, this.#facts.link, this.#facts.ways),
      el(
        "div",
        { class: "pairs" },
        this.#charts.map((chart) => chart.node),
        this.#facts.frames,
      ),
    );
    return el(
      "div",
      { class: "camera-page" },
      el(
        "div",
        { class: "page-head" },
        el(
          "div",
          { class: "camera-title" },
          el(
            "a",
            {
              class: "button icon-only",
              href: "#/",
              "aria-label": "All cameras",
              title: "All cameras",
            },
            icon("back"),
          ),
          this.heading,
          this.#chip.node,
        ),
        this.#siblings,
      ),
      this.#detail,
      this.#body,
    );
  }

  #fill() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.#stage.requestFullscreen();
  }

  #draw = (bitmap) => {
    if (!isPair(bitmap, this.#view?.size)) {
      bitmap.close();
      return;
    }
    this.#compare.draw(bitmap);
    if (this.#drawn) return;
    this.#drawn = true;
    mark(this.#stage, "data-drawn", "yes");
    this.update(performance.now());
  };

  get #view() {
    return this.#app.live.cameras?.get(this.name);
  }

  #wish() {
    const view = this.#view;
    if (!view || !this.#seen) return this.#app.live.unwatch(this.name, this.#draw);
    const width = pictureWidth(this.#stage.clientWidth, view.size?.[0]);
    this.#app.live.watch(this.name, { view: "both", width, fps: FPS }, this.#draw);
  }

  update(now) {
    const { live } = this.#app;
    if (!live.cameras) return this.#vacant("loading");
    const view = this.#view;
    if (!view) return this.#known ? this.#left() : this.#vacant("gone");
    this.#known = true;
    this.#vacant(null);
    this.#wish();
    const { since, fps } = live.freshness(this.name, now);
    const connected = live.link === "open";
    const quiet = quietFor(since, fps);
    const seen = look(view, connected, quiet);
    this.#chip.set(seen.tone, seen.label);
    mark(this.node, "data-sure", seen.sure ? "yes" : "no");
    mark(this.#detail, "data-tone", seen.tone);
    say(this.#detail, seen.sure ? "" : seen.detail);
    const waiting = seen.sure && !this.#drawn;
    say(this.#veil.firstChild, waiting ? "Waiting for a picture" : seen.sure ? "" : seen.label);
    say(
      this.#veil.lastChild,
      seen.sure || seen.label === "Unknown"
        ? ""
        : `since ${clock(seen.label === "No picture" ? Date.now() / 1000 - since : view.since)}`,
    );
    const known = connected && view.state === "live";
    say(this.#figures.fps, known ? rates(view) : "–");
    say(this.#figures.age, seconds(known ? ageOf(view, quiet, now - live.saidAt) : null));
    say(this.#figures.size, view.size ? `${view.size[0]} × ${view.size[1]}` : "–");
    say(this.#figures.latency, millis(known ? view.latency_ms?.total?.p95 : null));
    this.#rain.set(known ? view.rain : null, known && view.raining);
    const done = known ? treatment(view) : { text: "", tone: "" };
    say(this.#done, done.text);
    this.#compare.right = done.text && !view.derained ? done.text : "After";
    mark(this.#done, "data-tone", done.tone);
    this.#controls.update(view, connected);
    this.#facts.update(view);
    this.#neighbours([...live.cameras.keys()]);
    if (connected && now - this.#asked > HISTORY_MS) this.#ask(now);
  }

  /** It was removed, from here or elsewhere: its address says nothing any more. */
  #left() {
    this.#app.toast(`${this.name} was removed`);
    this.#app.go("#/", true);
  }

  async #ask(now) {
    this.#asked = now;
    try {
      const { history } = await call("GET", cameraPath(this.name));
      const end = history?.at(-1)?.t ?? 0; // the server's clock; this one may be wrong
      for (const chart of this.#charts) chart.update(history ?? [], end);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error; // the next try, or the connection, will tell
    }
  }

  #neighbours(names) {
    const place = names.indexOf(this.name);
    const wanted = [names[place - 1], names[place + 1]];
    if (this.#siblings.dataset.of === JSON.stringify(wanted)) return;
    this.#siblings.dataset.of = JSON.stringify(wanted);
    const way = (name, label, drawing) =>
      name === undefined
        ? null
        : el(
            "a",
            {
              class: "button",
              href: `#/camera/${encodeURIComponent(name)}`,
              "aria-label": `${label} camera: ${name}`,
            },
            drawing === "back"
              ? [icon(drawing), el("span", {}, name)]
              : [el("span", {}, name), icon(drawing)],
          );
    this.#siblings.replaceChildren(
      ...[way(wanted[0], "Previous", "back"), way(wanted[1], "Next", "next")].filter(Boolean),
    );
  }

  #vacant(state) {
    if ((this.#gone?.dataset.state ?? null) === state) return;
    this.#gone?.remove();
    this.#gone = null;
    this.#body.hidden = state !== null;
    this.#chip.node.hidden = state !== null;
    if (state === null) return;
    say(this.#detail, "");
    this.#gone =
      state === "loading"
        ? el("p", { class: "notice" }, "Loading …")
        : el(
            "section",
            { class: "vacant" },
            icon("alert"),
            el("h2", {}, `There is no camera ${this.name}`),
            el("p", {}, "It was removed, or never was there."),
            el("a", { class: "button main", href: "#/" }, "All cameras"),
          );
    this.#gone.dataset.state = state;
    this.node.append(this.#gone);
  }

  focus() {
    this.heading.focus();
  }

  close() {
    this.#app.live.unwatch(this.name, this.#draw);
    this.#measuring.disconnect();
    this.#watching.disconnect();
    this.#compare.close();
  }
}

function derainedShare(moments) {
  const known = moments
    .map((moment) => moment.derained)
    .filter((value) => value !== null && value !== undefined);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : 0;
}
