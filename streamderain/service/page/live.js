// The page's one connection: what every camera does, and the pictures of those that are looked at.

const SILENT_MS = 3500; // the server speaks once a second; so long without a word, and it is gone
const RETRY_MS = [500, 1000, 2000, 3000]; // before the next try, and so on
const TROUBLES = ["stalled", "backoff", "failed"];
const BASELINE = 30; // messages over which the usual age of a camera's frames is known

/** Takes a binary message apart: length of the id, the id, 8 bytes of version, a JPEG. */
export function takeApart(buffer) {
  const bytes = new DataView(buffer);
  const length = bytes.getUint8(0);
  const name = new TextDecoder().decode(new Uint8Array(buffer, 1, length));
  return {
    name,
    version: bytes.getBigUint64(1 + length),
    jpeg: new Uint8Array(buffer, 9 + length),
  };
}

/**
 * How long a camera gave nothing new, judged by the age of its frames. The usual age is taken off:
 * it is the way through the network, and what the camera's clock is wrong by.
 */
class Freshness {
  #ages = [];
  #connects = null;
  #since = null;
  #at = 0;
  #fps = 0;

  take(view, now) {
    if (view.connects !== this.#connects || view.state !== "live") {
      this.#ages = [];
      this.#fps = 0;
      this.#connects = view.connects;
    }
    this.#at = now;
    this.#fps = Math.max(view.fps ?? 0, this.#fps * 0.97);
    if (view.age_s === null || view.age_s === undefined || view.state !== "live") {
      this.#since = null;
      return;
    }
    this.#ages = [...this.#ages, view.age_s].slice(-BASELINE);
    this.#since = Math.max(0, view.age_s - Math.min(...this.#ages));
  }

  /** Seconds since the newest frame that left, and the camera's usual rate. */
  at(now) {
    return {
      since: this.#since === null ? null : this.#since + (now - this.#at) / 1000,
      fps: this.#fps,
    };
  }
}

/**
 * Holds the connection and comes back by itself.
 *
 * Events: `cameras` (something new about them), `link` (the connection came or went), `refused`
 * (it could not be made at all; perhaps a token is missing).
 */
export class Live extends EventTarget {
  cameras = null; // by name, in the server's order; null before the first word
  model = null;
  link = "connecting"; // connecting, open, lost
  retryAt = 0;
  heardAt = 0; // when anything came
  saidAt = 0; // when the cameras were last told of

  #url;
  #socket = null;
  #tries = 0;
  #timer = 0;
  #wanted = false;
  #fresh = new Map();
  #wishes = new Map();
  #sinks = new Map();
  #troubles = new Map(); // the last state of a camera that is not what it should be
  #shownAt = new Map(); // when the last picture of a camera came
  #sending = 0;
  #said = "";
  #hidden = false;

  constructor(url) {
    super();
    this.#url = url;
    setInterval(() => this.#check(), 500);
    document.addEventListener("visibilitychange", () => {
      this.#hidden = document.hidden;
      this.#tell();
    });
  }

  start() {
    this.#wanted = true;
    this.#open();
  }

  stop() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = null;
    this.cameras = null;
    this.#become("connecting");
  }

  /** Tries at once instead of waiting. */
  hurry() {
    this.#tries = 0;
    clearTimeout(this.#timer);
    this.#open();
  }

  /** Asks for a camera's pictures; `draw(bitmap)` gets them, and owns them. */
  watch(name, wish, draw) {
    this.#wishes.set(name, wish);
    this.#sinks.set(name, draw);
    this.#tell();
  }

  unwatch(name, draw) {
    if (this.#sinks.get(name) !== draw) return;
    this.#wishes.delete(name);
    this.#sinks.delete(name);
    this.#tell();
  }

  /**
   * Seconds since a camera's newest frame, as far as that is known, and its usual rate. Pictures
   * that come are proof, however late they are.
   */
  freshness(name, now) {
    const told = this.#fresh.get(name)?.at(now) ?? { since: null, fps: 0 };
    if (told.since === null || !this.#shownAt.has(name)) return told;
    return { ...told, since: Math.min(told.since, (now - this.#shownAt.get(name)) / 1000) };
  }

  #open() {
    if (!this.#wanted || this.#socket) return;
    const socket = new WebSocket(this.#url);
    let opened = false;
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.heardAt = performance.now();
    socket.onopen = () => {
      opened = true;
      this.heardAt = performance.now();
      this.#said = "";
      this.#tell();
    };
    socket.onmessage = (event) => {
      if (typeof event.data === "string") this.#listen(JSON.parse(event.data));
      else this.#show(socket, event.data);
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      if (!opened) this.dispatchEvent(new Event("refused"));
      this.#later();
    };
  }

  #later() {
    if (!this.#wanted) return;
    const wait = RETRY_MS[Math.min(this.#tries, RETRY_MS.length - 1)];
    this.#tries += 1;
    this.retryAt = performance.now() + wait;
    this.#timer = setTimeout(() => this.#open(), wait);
    this.#become("lost");
  }

  #check() {
    const socket = this.#socket;
    if (!socket || performance.now() - this.heardAt < SILENT_MS) return;
    this.#socket = null; // closing waits for the other side, which may be gone
    socket.close();
    this.#later();
  }

  #become(link) {
    if (this.link === link) return;
    this.link = link;
    this.dispatchEvent(new Event("link"));
  }

  #listen(message) {
    const now = performance.now();
    this.heardAt = now;
    this.#tries = 0;
    if (message.model) this.model = message.model;
    if (message.cameras) {
      this.saidAt = now;
      const cameras = new Map();
      for (const view of message.cameras) {
        if (!this.#fresh.has(view.camera)) this.#fresh.set(view.camera, new Freshness());
        this.#fresh.get(view.camera).take(view, now);
        cameras.set(view.camera, this.#steady(view));
      }
      for (const name of this.#fresh.keys()) {
        if (cameras.has(name)) continue;
        this.#fresh.delete(name);
        this.#shownAt.delete(name);
        this.#troubles.delete(name);
      }
      this.cameras = cameras;
      this.#become("open");
      this.dispatchEvent(new Event("cameras"));
    }
  }

  /** A camera that is tried again stays what it was: a try is no news. */
  #steady(view) {
    const again = view.state === "connecting" && view.message;
    if (!again && !TROUBLES.includes(view.state)) {
      this.#troubles.delete(view.camera);
      return view;
    }
    const state = again ? (this.#troubles.get(view.camera) ?? "backoff") : view.state;
    this.#troubles.set(view.camera, state);
    return { ...view, state };
  }

  /** Draws a picture, and only then asks for the next: who is slow gets fewer, never older ones. */
  async #show(socket, data) {
    this.heardAt = performance.now();
    const { name, jpeg } = takeApart(data);
    this.#shownAt.set(name, this.heardAt);
    try {
      if (this.#sinks.has(name)) {
        const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
        await new Promise(requestAnimationFrame);
        const draw = this.#sinks.get(name);
        if (draw) draw(bitmap);
        else bitmap.close();
      }
    } catch {
      // A picture that can't be decoded; the next one will be another.
    } finally {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ ack: name }));
    }
  }

  /** Says what is looked at, once for all changes of the moment. */
  #tell() {
    clearTimeout(this.#sending);
    this.#sending = setTimeout(() => {
      if (this.#socket?.readyState !== WebSocket.OPEN) return;
      const watch = this.#hidden ? {} : Object.fromEntries(this.#wishes);
      const said = JSON.stringify({ watch });
      if (said === this.#said) return;
      this.#said = said;
      this.#socket.send(said);
    }, 40);
  }
}

const WIDTHS = [160, 240, 320, 480, 640, 800, 960, 1280, 1600, 1920];

/**
 * The width to ask for: what is shown, in steps, so that viewers share what is encoded; never more
 * than the camera has.
 */
export function pictureWidth(shown, most) {
  const wanted = shown * Math.min(window.devicePixelRatio || 1, 2);
  const step = WIDTHS.find((width) => width >= wanted * 0.9) ?? WIDTHS.at(-1);
  return most ? Math.min(step, most) : step;
}
