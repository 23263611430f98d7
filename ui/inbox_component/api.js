// The API as the inbox sees it: requests with the agent's token, and streams of events that come back by themselves.

const LONGEST_PAUSE_MS = 15_000;

/** The API refused or was not there; the message is for people. */
export class ApiError extends Error {
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

export class Api {
  #address;
  #headers;

  constructor(address, token) {
    this.#address = address.replace(/\/+$/, "");
    this.#headers = token ? { Authorization: `Bearer ${token}` } : {};
  }

  get(path) {
    return this.#json("GET", path);
  }

  post(path, body = undefined) {
    return this.#json("POST", path, body);
  }

  put(path, body) {
    return this.#json("PUT", path, body);
  }

  /** A file, for an object URL. */
  async blob(path) {
    return (await this.#send("GET", path)).blob();
  }

  /**
   * Reads a stream of events until the signal ends it, and begins again where it broke off.
   * `onEvent(name, data)`; `onState(is connected)` whenever that changes. Refusals other than "busy" end it by throwing.
   */
  async follow(path, after, { signal, onEvent, onState }) {
    let last = after;
    for (let failures = 0; !signal.aborted; ) {
      try {
        const headers = { Accept: "text/event-stream", ...(last === null ? {} : { "Last-Event-ID": String(last) }) };
        const response = await this.#send("GET", path, undefined, { headers, signal });
        onState(true);
        failures = 0;
        for await (const event of eventsOf(response.body)) {
          if (event.id !== "") last = event.id;
          onEvent(event.name, event.data);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
          onState(false);
          throw error;
        }
      }
      if (signal.aborted) return;
      onState(false);
      failures += 1;
      await pause(Math.min(LONGEST_PAUSE_MS, 400 * 2 ** failures) * (0.5 + Math.random() / 2), signal);
    }
  }

  async #json(method, path, body) {
    const response = await this.#send(method, path, body);
    return response.status === 204 ? null : response.json();
  }

  async #send(method, path, body, { headers = {}, signal = undefined } = {}) {
    let response;
    try {
      response = await fetch(this.#address + path, {
        method,
        signal,
        headers: { ...this.#headers, ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
        body: body === undefined ? undefined : JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError("", "unreachable", 0);
    }
    if (response.ok) return response;
    const said = await response.json().catch(() => null);
    throw new ApiError(said?.error?.message ?? `HTTP ${response.status}`, said?.error?.code ?? "unknown", response.status);
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** Server-sent events (WHATWG HTML 9.2.6) whose data are JSON. One that the stream breaks off in is none. */
export async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { name: "message", data: [], id: "" };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines.map((each) => each.replace(/\r$/, ""))) {
      const [, field, said] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (line === "") {
        if (event.data.length) yield { ...event, data: JSON.parse(event.data.join("\n")) };
        event = { name: "message", data: [], id: "" };
      } else if (field === "event") event.name = said;
      else if (field === "data") event.data.push(said);
      else if (field === "id") event.id = said;
    }
  }
}
