// What the page asks of the server over HTTP.

/** The server refused, with a sentence to show; `status` is 0 where it could not be reached. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Address of something that the server gives, wherever the page itself is mounted. */
export function address(path) {
  return new URL(`api/v1/${path}`, document.baseURI).href;
}

/** Address of the live connection. */
export function liveAddress() {
  return address("live").replace(/^http/, "ws");
}

/** Address of a camera, or of something below it. */
export function cameraPath(name, below = "") {
  return `cameras/${encodeURIComponent(name)}${below}`;
}

/** Address of a still picture. */
export function snapshot(name, view, format) {
  return address(cameraPath(name, `/snapshot?view=${view}&format=${format}`));
}

/**
 * Asks the server; gives what it answers, or null where it answers nothing.
 *
 * @param headers beside the usual
 * @throws ApiError with the server's own sentence
 */
export async function call(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(address(path), {
      method,
      headers:
        body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
    });
  } catch {
    throw new ApiError("streamderain can’t be reached. Is it still running?", 0);
  }
  const text = await answer.text();
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    // Whatever stands between us and the server answered instead of it.
  }
  if (answer.ok) return data;
  throw new ApiError(
    data?.error ?? `The server answered ${answer.status} ${answer.statusText}`,
    answer.status,
  );
}
