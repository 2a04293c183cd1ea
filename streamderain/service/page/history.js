// A camera's last two minutes, as small drawings with the same in words and as a table.

import { el, fresh, mark, say, svg } from "./dom.js";
import { clock } from "./words.js";

const SPAN_S = 120;
const WIDTH = 240; // units of the drawing; it is stretched to the width that there is
const HEIGHT = 60;
const GAP_S = 3; // where nothing was known for so long, nothing is drawn
const ROWS = 12;

/** Cuts moments into runs without gaps: lists of [x, y] in units of the drawing. */
export function runs(moments, key, most, now) {
  const found = [];
  let run = [];
  let before = null;
  for (const moment of moments) {
    const value = moment[key];
    if (value === null || value === undefined || (before !== null && moment.t - before > GAP_S)) {
      if (run.length) found.push(run);
      run = [];
    }
    before = moment.t;
    if (value === null || value === undefined || moment.t < now - SPAN_S) continue;
    const x = WIDTH * (1 - (now - moment.t) / SPAN_S);
    run.push([x, HEIGHT - (HEIGHT - 2) * Math.min(1, value / most) - 1]);
  }
  if (run.length) found.push(run);
  return found;
}

const line = (run) =>
  run.map(([x, y], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
const area = (run) =>
  `${line(run)}L${run.at(-1)[0].toFixed(1)} ${HEIGHT}L${run[0][0].toFixed(1)} ${HEIGHT}Z`;

/** Rounds up to a figure that reads well at the top of a drawing. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

export class Chart {
  #band = svg("path", { class: "chart-band" });
  #area = svg("path", { class: "chart-area" });
  #line = svg("path", { class: "chart-line" });
  #top = el("span", { class: "chart-top" });
  #now = el("span", { class: "chart-now" });
  #words = el("p", { class: "chart-words" });
  #body = el("tbody");
  #options;
  #drawing;

  /**
   * @param options title; key: which figure; format: of a value; most: the top of the scale, or null
   *   to choose it; band: a figure between 0 and 1 that is drawn as a band below, or null
   */
  constructor(options) {
    this.#options = options;
    const id = fresh("chart");
    this.#drawing = svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT + 6}`,
        preserveAspectRatio: "none",
        role: "img",
        class: "chart",
      },
      svg("path", {
        class: "chart-grid",
        d: `M0 1H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}`,
      }),
      this.#area,
      this.#line,
      this.#band,
    );
    this.node = el(
      "section",
      { class: "card history", "aria-labelledby": id, "data-key": options.key },
      el("div", { class: "card-head" }, el("h2", { id }, options.title), this.#now),
      this.#top,
      this.#drawing,
      el(
        "p",
        { class: "chart-axis", "aria-hidden": "true" },
        el("span", {}, "2 minutes ago"),
        options.band ? el("span", { class: "chart-key" }, "derained") : null,
        el("span", {}, "now"),
      ),
      this.#words,
      el(
        "details",
        {},
        el("summary", {}, "As a table"),
        el(
          "table",
          {},
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              el("th", { scope: "col" }, "Time"),
              el("th", { scope: "col" }, options.title),
            ),
          ),
          this.#body,
        ),
      ),
    );
  }

  /** Draws these moments ({t, ...}), the newest last. */
  update(moments, now) {
    const { key, format, most, band, title, note } = this.#options;
    const recent = moments.filter((moment) => moment.t >= now - SPAN_S);
    const known = recent.filter((moment) => moment[key] !== null && moment[key] !== undefined);
    const values = known.map((moment) => moment[key]);
    const top = most ?? ceiling(Math.max(1, ...values));
    const cut = runs(recent, key, top, now).filter((run) => run.length > 1);
    mark(this.#line, "d", cut.map(line).join("") || "M0 0");
    mark(this.#area, "d", cut.map(area).join("") || "M0 0");
    if (band) mark(this.#band, "d", stripes(recent, band, now) || "M0 0");
    say(this.#top, values.length || most ? format(top) : "");
    say(this.#now, values.length ? format(values.at(-1)) : "–");
    const said = values.length
      ? `Two minutes: between ${format(Math.min(...values))} and ${format(Math.max(...values))}${note ? note(recent) : ""}.`
      : "Nothing was measured.";
    say(this.#words, said);
    mark(this.#drawing, "aria-label", `${title}. ${said}`);
    this.#tabulate(known, key, format);
  }

  #tabulate(known, key, format) {
    const step = Math.max(1, Math.ceil(known.length / ROWS));
    const rows = known.filter((_, place) => (known.length - 1 - place) % step === 0).reverse();
    this.#body.replaceChildren(
      ...rows.map((moment) =>
        el("tr", {}, el("td", {}, clock(moment.t)), el("td", {}, format(moment[key]))),
      ),
    );
  }
}

/** A stripe under the drawing wherever more than half of the frames were derained. */
function stripes(moments, key, now) {
  const width = WIDTH / SPAN_S;
  return moments
    .filter((moment) => (moment[key] ?? 0) > 0.5)
    .map(
      (moment) =>
        `M${(WIDTH * (1 - (now - moment.t) / SPAN_S) - width).toFixed(1)} ${HEIGHT + 4.5}h${(width * 1.05).toFixed(2)}`,
    )
    .join("");
}
