// Joins the page: who may do what, which view is shown, and what is said about the connection.

import { ApiError, call, liveAddress } from "./api.js";
import { CameraPage } from "./camera.js";
import { enter, signIn, tokenField } from "./dialogs.js";
import { el, icon, mark, say } from "./dom.js";
import { editCamera } from "./form.js";
import { Live } from "./live.js";
import { Wall } from "./wall.js";
import { look, quietFor } from "./words.js";

const TICK_MS = 200;
const TOAST_MS = 4000;
const AGAIN_MS = 2000;

const at = (id) => document.getElementById(id);

class App {
  session = { may_read: false, may_change: false, token_needed: false, signed_in: false };
  live = new Live(liveAddress());
  #view = null;
  #labels = null;
  #toasting = 0;
  #left = null; // the camera that was looked at last

  async start() {
    this.live.addEventListener("cameras", () => this.#update());
    this.live.addEventListener("link", () => this.#update());
    this.live.addEventListener("refused", () => this.#ask());
    window.addEventListener("hashchange", () => this.#route());
    at("skip").addEventListener("click", (event) => {
      event.preventDefault(); // the address' hash says which view is shown
      at("main").focus();
    });
    setInterval(() => this.#update(), TICK_MS);
    await this.#ask();
  }

  /** Asks who we are; shows the view, the question for the token, or that nobody answers. */
  async #ask() {
    try {
      this.#become(await call("GET", "session"));
    } catch (error) {
      if (!this.#view) this.#unreachable(error);
      if (!this.#view || this.#view.node.dataset.state === "unreachable")
        setTimeout(() => this.#ask(), AGAIN_MS);
    }
  }

  #become(session) {
    const could = this.session.may_read && this.#view;
    this.session = session;
    this.#actions();
    if (!session.may_read) {
      this.live.stop();
      this.#show(gateway((next) => this.#become(next)));
    } else if (!could) {
      this.live.start();
      this.#route(false);
    }
    this.#update();
  }

  #route(focus = true) {
    if (!this.session.may_read) return;
    const [, name] = location.hash.match(/^#\/camera\/(.+)$/) ?? [];
    let camera = null;
    try {
      camera = name === undefined ? null : decodeURIComponent(name);
    } catch {
      camera = null; // not an address of ours
    }
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    const from = this.#left;
    this.#show(camera === null ? new Wall(this) : new CameraPage(this, camera));
    this.#left = camera;
    this.#update();
    if (focus) {
      if (camera === null) this.#view.focus(from);
      else window.scrollTo(0, 0);
      if (camera !== null) this.#view.focus();
    }
  }

  #show(view) {
    this.#view?.close?.();
    this.#view = view;
    at("main").replaceChildren(view.node);
    document.title = `${view.title} · streamderain`;
  }

  #unreachable(error) {
    const node = el(
      "section",
      { class: "vacant", "data-state": "unreachable" },
      icon("alert"),
      el("h2", {}, "No answer"),
      el("p", {}, error.message),
      el("p", { class: "hint" }, "It is tried again by itself."),
    );
    this.#show({ node, title: "No answer" });
  }

  /** Shows another view; `instead` leaves no way back to this one. */
  go(hash, instead = false) {
    if (location.hash === hash) return;
    if (instead) location.replace(hash);
    else location.hash = hash;
  }

  #update() {
    const now = performance.now();
    this.#link();
    this.#view?.update?.(now);
    this.#announce(now);
  }

  #link() {
    const { link, retryAt, model, cameras } = this.live;
    const reading = this.session.may_read;
    const words = { connecting: "Connecting", open: "Connected", lost: "Disconnected" };
    const tones = { connecting: "wait", open: "ok", lost: "bad" };
    say(at("link"), reading ? words[link] : "");
    mark(at("link"), "data-tone", reading ? tones[link] : null);
    mark(document.body, "data-link", link);
    this.#banner(reading && link === "lost", retryAt, cameras !== null);
    const parts = model
      ? [model.name ?? model.model, model.device, model.runtime].filter(Boolean)
      : [];
    say(at("foot"), parts.length ? `Network: ${parts.join(" · ")}` : "");
  }

  #banner(lost, retryAt, known) {
    const banner = at("banner");
    if (banner.hidden === !lost) return;
    banner.hidden = !lost;
    if (!lost) {
      banner.replaceChildren();
      if (document.activeElement === document.body)
        this.#view?.heading?.focus({ preventScroll: true });
      return;
    }
    banner.replaceChildren(
      icon("alert"),
      el(
        "span",
        {},
        `Connection to streamderain lost. It is tried again by itself.${known ? " The pictures are the last that came." : ""}`,
      ),
      el(
        "button",
        { type: "button", class: "button", on: { click: () => this.live.hurry() } },
        "Try now",
      ),
    );
  }

  /** Says for screen readers which cameras changed their state. */
  #announce(now) {
    const { cameras, link } = this.live;
    if (!cameras || link !== "open") return;
    const labels = new Map();
    for (const [name, view] of cameras) {
      const { since, fps } = this.live.freshness(name, now);
      labels.set(name, look(view, true, quietFor(since, fps)).label);
    }
    const changed = [];
    if (this.#labels) {
      for (const [name, label] of labels) {
        const before = this.#labels.get(name);
        if (before === undefined) changed.push(`${name} was added`);
        else if (before !== label) changed.push(`${name}: ${label}`);
      }
      for (const name of this.#labels.keys())
        if (!labels.has(name)) changed.push(`${name} was removed`);
    }
    this.#labels = labels;
    if (!changed.length) return;
    const more = changed.length > 4 ? `, and ${changed.length - 4} more` : "";
    say(at("announcer"), changed.slice(0, 4).join(", ") + more);
  }

  #actions() {
    const { may_read, may_change, token_needed, signed_in } = this.session;
    const button = (label, action, kind = "") =>
      el("button", { type: "button", class: `button ${kind}`, on: { click: action } }, label);
    const shown = [];
    if (may_change) {
      shown.push(
        el(
          "button",
          {
            type: "button",
            class: "button main",
            "aria-label": "Add camera",
            on: { click: () => this.edit(null) },
          },
          icon("plus"),
          el("span", {}, "Add", el("span", { class: "wide" }, " camera")),
        ),
      );
    }
    if (signed_in) shown.push(button("Sign out", () => this.#leave(), "quiet"));
    if (may_read && !may_change && token_needed) {
      shown.push(button("Sign in", () => signIn((session) => this.#become(session))));
    }
    at("actions").replaceChildren(...shown);
  }

  async #leave() {
    try {
      await call("DELETE", "session");
    } catch (error) {
      this.toast(error.message);
    }
    await this.#ask();
  }

  /** Why nothing can be changed, where it can't. */
  whyNot() {
    return this.session.token_needed
      ? "Sign in with the token to change this."
      : "Read only: without service.token in the configuration nothing can be changed here.";
  }

  /** After a refusal: perhaps the token is no longer the right one. */
  recheck(error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) this.#ask();
  }

  /** Opens the form for a camera, or for a new one. */
  async edit(name) {
    let known = {};
    if (name) {
      try {
        known = (await call("GET", "config")).cameras?.[name] ?? {};
      } catch (error) {
        return this.toast(error.message);
      }
    }
    editCamera(name, known, (id) => this.toast(name ? `${id} was changed` : `${id} was added`));
  }

  toast(text) {
    const toast = at("toast");
    clearTimeout(this.#toasting);
    toast.hidden = false;
    say(toast, text);
    this.#toasting = setTimeout(() => {
      toast.hidden = true;
      say(toast, "");
    }, TOAST_MS);
  }
}

/** The question for the token, where even reading needs it. */
function gateway(done) {
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const heading = el("h1", { tabindex: "-1" }, "Sign in");
  const submit = async (event) => {
    event.preventDefault();
    problem.hidden = true;
    try {
      done(await enter(new FormData(event.target).get("token")));
    } catch (error) {
      problem.hidden = false;
      say(problem, error.message);
      event.target.elements.token.select();
    }
  };
  const node = el(
    "form",
    { class: "gateway card", on: { submit } },
    heading,
    el("p", {}, "Looking at these cameras needs the token."),
    tokenField(),
    problem,
    el("button", { type: "submit", class: "button main" }, "Sign in"),
  );
  return { node, title: "Sign in", heading };
}

new App().start();
