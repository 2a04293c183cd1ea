// What states, reasons and figures are called. Pure.

const STATES = {
  connecting: ["wait", "Connecting", "Connecting to the camera"],
  live: ["ok", "Live", "Frames come"],
  stalled: ["bad", "Stalled", "Connected, but no frames come"],
  backoff: ["bad", "Lost", "The camera can’t be reached; it is tried again by itself"],
  failed: ["bad", "Failed", "The camera refuses, or there is no such stream"],
  ended: ["off", "Ended", "The recording is over"],
  paused: ["off", "Paused", "The camera is disconnected until it is resumed"],
};

const BYPASS = {
  dry: "dry",
  overload: "overload",
  off: "deraining off",
  corrupt: "damaged frame",
  failed: "network failed",
  null: "no network",
};

const DROPS = {
  max_fps: "above max_fps",
  late: "reader behind",
  overload: "overload",
  publish: "encoder busy",
  "writer-error": "writer failed",
};

const STAGES = {
  wait: "Waiting",
  network: "Network",
  write: "Writing",
  total: "Arrival to written",
};

/** A camera without a picture for this long is said to have none, or for three frames of its own. */
const LATE_S = 1;

export const bypassName = (reason) => BYPASS[reason] ?? reason;
export const dropName = (reason) => DROPS[reason] ?? reason;
export const stageName = (stage) => STAGES[stage] ?? stage;

/**
 * What a camera is doing, as a person sees it: `tone` (ok, wait, warn, bad, off), `label`, `detail`.
 *
 * @param view what the server says of it
 * @param connected whether the server is heard at all
 * @param quiet seconds without a new frame, or null
 */
export function look(view, connected, quiet) {
  if (!connected) {
    return { tone: "off", label: "Unknown", detail: "No connection to streamderain", sure: false };
  }
  const [tone, label, detail] = STATES[view.state] ?? ["off", view.state, ""];
  if (view.state === "live" && quiet !== null) {
    return {
      tone: "warn",
      label: "No picture",
      detail: `No picture for ${seconds(quiet)}`,
      sure: false,
    };
  }
  return { tone, label, detail: view.message || detail, sure: view.state === "live" };
}

/** Seconds for which a live camera gave no frame, where that is worth a word; else null. */
export function quietFor(since, fps) {
  const enough = Math.max(LATE_S, fps > 0 ? 3 / fps : 0);
  return since !== null && since > enough ? since : null;
}

/** Age of the newest frame; it grows on while the camera is quiet, `ms` after it was told. */
export function ageOf(view, quiet, ms) {
  if (view.age_s === null || view.age_s === undefined) return null;
  return view.age_s + (quiet === null ? 0 : ms / 1000);
}

/** What became of the newest frame: `text`, and `tone` where it should be seen. */
export function treatment(view) {
  if (view.derained === null || view.derained === undefined) return { text: "", tone: "" };
  if (view.derained) return { text: "Derained", tone: "clean" };
  const tone = ["overload", "failed", "corrupt"].includes(view.bypass) ? "warn" : "";
  return { text: `As it came: ${bypassName(view.bypass ?? "unknown")}`, tone };
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.95) return `${Math.max(0, Math.round(value * 1000))} ms`;
  if (value < 9.95) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return `${Math.round(value / 3600)} h`;
}

export const rate = (fps) => (fps === null || fps === undefined ? "–" : `${fps.toFixed(1)} fps`);

/** Frames a second of a camera; where not all of them leave, those that come and those that leave. */
export function rates({ fps, fps_out: out }) {
  if (fps === null || out === null || out === undefined) return rate(fps);
  if (Math.abs(fps - out) <= Math.max(0.6, 0.1 * fps)) return rate(fps);
  return `${short(fps)} in, ${short(out)} out`;
}

const short = (fps) => (fps < 9.95 ? String(Number(fps.toFixed(1))) : fps.toFixed(0));
export const share = (value) =>
  value === null || value === undefined ? "–" : `${Math.round(value * 100)} %`;
export const count = (value) => (value ?? 0).toLocaleString("en");
export const millis = (value) => {
  if (value === null || value === undefined) return "–";
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
};
export const plural = (number, one, many) => `${number} ${number === 1 ? one : many}`;
export const clock = (unix) => new Date(unix * 1000).toLocaleTimeString("en-GB", { hour12: false });
