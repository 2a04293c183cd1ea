// The form to add a camera, or to change one.

import { ApiError, call, cameraPath } from "./api.js";
import { field, open } from "./dialogs.js";
import { el } from "./dom.js";

const NAME = "[A-Za-z0-9._\\-]{1,64}";
const HIDDEN = "***"; // what the server gives in place of a secret, and takes to keep it
const KEEP = "Leave empty to keep.";

function input(name, value, more = {}) {
  return el("input", {
    name,
    value: value ?? "",
    autocomplete: "off",
    spellcheck: "false",
    autocapitalize: "none",
    ...more,
  });
}

function select(name, value, options) {
  return el(
    "select",
    { name },
    options.map(([option, label]) =>
      el("option", { value: option, selected: option === value }, label),
    ),
  );
}

/** What the server told of a camera, without what it keeps to itself; and whether it kept something. */
export function withoutSecrets(known) {
  const camera = { ...known };
  let kept = false;
  for (const key of ["user", "password"]) {
    if (String(camera[key] ?? "").includes(HIDDEN)) {
      delete camera[key];
      kept = true;
    }
  }
  if (camera.source?.includes(`${HIDDEN}@`)) {
    camera.source = camera.source.replace(`${HIDDEN}@`, "");
    kept = true;
  }
  return { camera, kept };
}

/**
 * What the form says, as keys of the configuration.
 *
 * @param known what the camera had
 * @param kept whether it has a user or password that aren't told; the server keeps what isn't said
 */
export function cameraOf(data, known, kept) {
  const text = (name) => (data.get(name) ?? "").trim();
  const camera = { ...known, source: text("source") };
  const optional = (key, value) => {
    if (value) camera[key] = value;
    else delete camera[key];
  };
  optional("user", text("user") || (kept && HIDDEN));
  optional("password", data.get("password") || (kept && HIDDEN));
  camera.transport = text("transport");
  optional("max_fps", Number(text("max_fps")));
  optional("resize", text("resize"));
  camera.gate = { ...known.gate, always: text("always") === "yes" };
  if (camera.source.includes(HIDDEN)) {
    throw new Error(
      "The address of this camera has a secret, which isn’t told here. Enter it in place of ***.",
    );
  }
  if (JSON.stringify({ ...camera, user: "", password: "" }).includes(HIDDEN)) {
    throw new Error(
      "An output of this camera has a password, which isn’t told here. Change the camera in the configuration file.",
    );
  }
  return camera;
}

/** Gives the server a camera; a new one never takes the place of another. */
async function put(id, camera, isNew) {
  try {
    await call("PUT", cameraPath(id), camera, isNew ? { "If-None-Match": "*" } : {});
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 412) throw error;
    throw new Error(`There is a camera ${id} already; change it, or choose another name.`);
  }
}

/**
 * Opens the form.
 *
 * @param name of the camera to change, or null for a new one
 * @param told its configuration as the server tells it, or nothing
 */
export function editCamera(name, told, done) {
  const { camera: known, kept } = withoutSecrets(told);
  const size = Array.isArray(known.resize) ? known.resize.join("x") : known.resize;
  open({
    title: name ? `Change ${name}` : "Add a camera",
    action: name ? "Save" : "Add camera",
    parts: [
      name
        ? []
        : field(
            "Name",
            input("name", "", {
              required: true,
              pattern: NAME,
              maxlength: 64,
              "data-wrong": "A name has 1 to 64 letters, digits, dots, dashes and underscores.",
            }),
            "Letters, digits, dots, dashes, underscores. It goes into every message.",
          ),
      field(
        "Source",
        input("source", known.source, {
          required: true,
          placeholder: "rtsp://10.0.0.5:554/live",
          inputmode: "url",
          "data-wrong": "Enter the camera’s address, such as rtsp://10.0.0.5:554/live.",
        }),
        "rtsp://, rtsps://, http(s)://, a file, /dev/video0, or scene:heavy.",
      ),
      el(
        "div",
        { class: "pair" },
        field("User", input("user", known.user), kept ? KEEP : null),
        field(
          "Password",
          input("password", "", {
            type: "password",
            autocomplete: "new-password",
          }),
          kept ? `${KEEP} For another host or user it has to be entered.` : null,
        ),
      ),
      el(
        "details",
        {},
        el("summary", {}, "More"),
        el(
          "div",
          { class: "pair" },
          field(
            "RTSP over",
            select("transport", known.transport ?? "tcp", [
              ["tcp", "TCP"],
              ["udp", "UDP"],
            ]),
          ),
          field(
            "Derain",
            select("always", known.gate?.always ? "yes" : "no", [
              ["no", "When it rains"],
              ["yes", "Every frame"],
            ]),
          ),
          field(
            "Frames a second, at most",
            input("max_fps", known.max_fps, {
              type: "number",
              min: "0.1",
              max: "1000",
              step: "any",
              placeholder: "all",
              "data-wrong": "Frames a second are a number from 0.1 to 1000, or nothing for all.",
            }),
          ),
          field(
            "Scale to",
            input("resize", size, {
              pattern: "[0-9]+x[0-9]+",
              placeholder: "1280x720",
              "data-wrong": "A size is WIDTHxHEIGHT, such as 1280x720.",
            }),
          ),
        ),
      ),
      el(
        "p",
        { class: "hint" },
        "Holds until streamderain ends; the configuration file stays as it is.",
      ),
    ],
    submit: async (data) => {
      const id = name ?? data.get("name").trim();
      await put(id, cameraOf(data, known, kept), !name);
      done(id);
    },
  });
}
