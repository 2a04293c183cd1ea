// Search runs in a worker, and browsers start none from the file system: there, and only there, the
// worker's scripts run in a hidden frame of their own, with the two calls that they need.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.onerror = null;
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inner = this.frame.contentWindow;
      inner.document.open();
      inner.document.write("<!doctype html><title>search</title><body></body>");
      inner.document.close();
      inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", {data}));
      // Scripts that a script asks for follow one another, each when the one before has run.
      const load = (source) => new Promise((done, failed) => {
        const script = inner.document.createElement("script");
        script.src = source;
        script.onload = done;
        script.onerror = () => failed(new Error(`${source} can't be loaded`));
        inner.document.body.append(script);
      });
      inner.importScripts = (...sources) =>
        sources.reduce((before, source) => before.then(() => load(source)), Promise.resolve());
      this.ready = load(new URL(address, document.baseURI).href);
      this.ready.catch((error) => this.onerror?.(error));
    }

    postMessage(data) {
      this.ready.then(() => {
        const event = new this.frame.contentWindow.MessageEvent("message", {data});
        this.frame.contentWindow.dispatchEvent(event);
      });
    }

    terminate() {
      this.frame.remove();
    }
  };
}
