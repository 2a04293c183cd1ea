// What can be done to a camera: when it is derained, pause, stills, change and removal.

import { call, cameraPath, snapshot } from "./api.js";
import { confirm } from "./dialogs.js";
import { el, fresh, icon, mark, say } from "./dom.js";

const MODES = [
  ["auto", "Auto", "Derained when it rains"],
  ["on", "On", "Every frame is derained"],
  ["off", "Off", "Frames pass as they came"],
];
const STILLS = [
  ["before", "Before"],
  ["after", "After"],
  ["both", "Both"],
];

export class Controls {
  #app;
  #name;
  #radios = new Map();
  #modes;
  #explained = el("p", { class: "hint" });
  #pause;
  #pauseWord = el("span", {}, "Pause");
  #edit;
  #remove;
  #reason = el("p", { class: "hint" });
  #error = el("p", { class: "problem", role: "alert", hidden: true });
  #paused = false;
  #busy = 0;

  constructor(app, name) {
    this.#app = app;
    this.#name = name;
    const group = fresh("mode");
    this.#modes = el(
      "fieldset",
      { class: "segments wide" },
      el("legend", {}, "Derain"),
      MODES.map(([mode, label]) => {
        const radio = el("input", {
          type: "radio",
          name: group,
          value: mode,
          on: { change: () => this.#steer({ mode }) },
        });
        this.#radios.set(mode, radio);
        return el("label", {}, radio, el("span", {}, label));
      }),
    );
    const button = (drawing, word, action, kind = "") =>
      el(
        "button",
        { type: "button", class: `button ${kind}`, on: { click: action } },
        icon(drawing),
        word,
      );
    this.#pause = button("pause", this.#pauseWord, () => this.#steer({ paused: !this.#paused }));
    this.#edit = button("edit", "Change", () => app.edit(name));
    this.#remove = button("trash", "Remove", () => this.#drop(), "danger");
    this.node = el(
      "section",
      { class: "card controls", "aria-label": "Controls" },
      this.#modes,
      this.#explained,
      el("div", { class: "row" }, this.#pause, this.#edit, this.#remove),
      this.#reason,
      this.#error,
      el(
        "div",
        { class: "stills" },
        el("h2", {}, "Snapshot"),
        STILLS.map(([view, label]) =>
          el(
            "a",
            {
              class: "button",
              href: snapshot(name, view, "jpeg"),
              target: "_blank",
              rel: "noopener",
              "aria-label": `Snapshot ${label.toLowerCase()}, opens in a new tab`,
            },
            label,
          ),
        ),
      ),
    );
  }

  update(view, connected) {
    const may = this.#app.session.may_change;
    for (const part of [this.#modes, this.#pause, this.#edit, this.#remove]) {
      part.disabled = !may || !connected;
    }
    if (!this.#busy) {
      this.#radios.get(view.mode).checked = true;
      say(this.#explained, MODES.find(([mode]) => mode === view.mode)[2]);
    }
    if (this.#paused !== view.paused) {
      this.#paused = view.paused;
      this.#pause.firstChild.replaceWith(icon(view.paused ? "play" : "pause"));
      say(this.#pauseWord, view.paused ? "Resume" : "Pause");
    }
    say(this.#reason, may ? "" : this.#app.whyNot());
  }

  async #steer(wish) {
    this.#busy += 1;
    try {
      const view = await call("POST", cameraPath(this.#name, "/steer"), wish);
      this.#fail(null);
      this.#app.toast(
        wish.mode
          ? `${this.#name}: ${MODES.find(([mode]) => mode === view.mode)[2].toLowerCase()}`
          : `${this.#name} ${view.paused ? "is paused" : "goes on"}`,
      );
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#busy -= 1;
    }
  }

  async #drop() {
    const sure = await confirm({
      title: `Remove ${this.#name}?`,
      text: "It is disconnected and nothing of it is published any more. The configuration file stays as it is: what stands there comes back when streamderain is started anew.",
      action: "Remove",
    });
    if (!sure) return;
    try {
      await call("DELETE", cameraPath(this.#name));
      this.#app.toast(`${this.#name} was removed`);
      this.#app.go("#/", true);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error) {
    this.#error.hidden = !error;
    say(this.#error, error ? error.message : "");
    if (error) this.#app.recheck(error);
    mark(this.node, "data-failed", error ? "yes" : null);
  }
}
