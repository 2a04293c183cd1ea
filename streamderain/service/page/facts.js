// What a camera's frames became, in figures.

import { arrange, el, say } from "./dom.js";
import { bypassName, clock, count, dropName, millis, stageName } from "./words.js";

/** A table of names and values whose rows come and go. */
class Rows {
  #rows = new Map();
  node = el("dl", { class: "rows" });

  update(entries) {
    const shown = entries.map(([name, value, kind]) => {
      if (!this.#rows.has(name)) {
        const cell = el("dd");
        this.#rows.set(name, [el("div", { class: kind ?? "" }, el("dt", {}, name), cell), cell]);
      }
      const [row, cell] = this.#rows.get(name);
      say(cell, value);
      return row;
    });
    arrange(this.node, shown);
  }
}

function card(title, note, body) {
  const head = el(
    "div",
    { class: "card-head" },
    el("h2", {}, title),
    note ? el("span", { class: "hint" }, note) : null,
  );
  return el("section", { class: "card", "aria-label": title }, head, body);
}

export class Facts {
  #frames = new Rows();
  #ways = new Rows();
  #link = new Rows();

  constructor() {
    this.frames = card("Frames", null, this.#frames.node);
    this.ways = card("Latency by stage", "half · 95 %", this.#ways.node);
    this.link = card("Connection", null, this.#link.node);
  }

  update(view) {
    const frames = [
      ["Decoded", count(view.decoded)],
      ["Derained", count(view.derained_total)],
    ];
    for (const [reason, number] of Object.entries(view.bypassed ?? {})) {
      frames.push([`As they came: ${bypassName(reason)}`, count(number), "sub"]);
    }
    for (const [reason, number] of Object.entries(view.dropped ?? {})) {
      frames.push([`Left out: ${dropName(reason)}`, count(number), "sub"]);
    }
    for (const [name, output] of Object.entries(view.outputs ?? {})) {
      frames.push([`Written: ${name}`, count(output.written)]);
      for (const [reason, number] of Object.entries(output.dropped ?? {})) {
        frames.push([`${name}, left out: ${dropName(reason)}`, count(number), "sub"]);
      }
    }
    this.#frames.update(frames);
    this.#ways.update(
      Object.entries(view.latency_ms ?? {}).map(([stage, { p50, p95 }]) => [
        stageName(stage),
        `${millis(p50)} · ${millis(p95)}`,
      ]),
    );
    this.#link.update([
      ["Source", view.source, "long"],
      ["State since", clock(view.since)],
      ["Connects", count(view.connects)],
      ["Damaged frames", count(view.corrupt)],
      ["Waiting for the network", count(view.queue)],
    ]);
  }
}
