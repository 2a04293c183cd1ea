// Dialogs: the browser's own, which hold the keyboard and give it back.

import { call } from "./api.js";
import { el, fresh, say } from "./dom.js";

/**
 * Opens a dialog around a form and gives it with its closing.
 *
 * @param title of the dialog
 * @param parts what the form holds
 * @param submit called with the form's data; whatever it throws is shown, else the dialog closes
 */
export function open({ title, parts, action, danger, submit, closed }) {
  const id = fresh("dialog");
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const send = el(
    "button",
    { type: "submit", class: `button main ${danger ? "danger" : ""}` },
    action,
  );
  const cancel = el(
    "button",
    { type: "button", class: "button", on: { click: () => dialog.close() } },
    "Cancel",
  );
  const form = el(
    "form",
    { class: "dialog-form", novalidate: true },
    el("h2", { id }, title),
    parts,
    problem,
    el("div", { class: "dialog-actions" }, cancel, send),
  );
  const dialog = el("dialog", { class: "dialog", "aria-labelledby": id }, form);
  const fail = (message, field) => {
    problem.hidden = false;
    say(problem, message);
    if (!field) return;
    field.closest("details")?.setAttribute("open", "");
    field.setAttribute("aria-invalid", "true");
    field.focus();
  };
  form.addEventListener("input", (event) => event.target.removeAttribute("aria-invalid"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    const wrong = [...form.elements].find((field) => field.willValidate && !field.validity.valid);
    if (wrong) return fail(wrong.dataset.wrong ?? wrong.validationMessage, wrong);
    send.disabled = true;
    try {
      await submit(new FormData(form));
      dialog.close("done");
    } catch (error) {
      fail(error.message);
    } finally {
      send.disabled = false;
    }
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed?.(dialog.returnValue);
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks whether something is really wanted. */
export function confirm({ title, text, action }) {
  return new Promise((resolve) => {
    open({
      title,
      action,
      danger: true,
      parts: [el("p", {}, text)],
      submit: async () => {},
      closed: (value) => resolve(value === "done"),
    });
  });
}

/** A field of a form with its label and, below, what it wants. */
export function field(label, input, hint) {
  const id = fresh("field");
  input.setAttribute("id", id);
  const words = hint ? el("p", { class: "hint", id: `${id}-hint` }, hint) : null;
  if (words) input.setAttribute("aria-describedby", words.id);
  return el("div", { class: "field" }, el("label", { for: id }, label), input, words);
}

/** The field for the token; the name is for password managers, which keep none without one. */
export function tokenField() {
  const name = el("input", { autocomplete: "username", value: "streamderain", hidden: true });
  const token = field(
    "Token",
    el("input", {
      type: "password",
      name: "token",
      required: true,
      autocomplete: "current-password",
      "data-wrong": "Enter the token.",
    }),
    "It stands in the configuration as service.token.",
  );
  return [name, token];
}

/** Asks for the token; `done(session)` is called once the server took it. */
export function signIn(done) {
  open({
    title: "Sign in",
    action: "Sign in",
    parts: tokenField(),
    submit: async (data) => done(await enter(data.get("token"))),
  });
}

/** Gives the server the token; gives what may be done with it. */
export async function enter(token) {
  await call("POST", "session", { token });
  return call("GET", "session");
}
