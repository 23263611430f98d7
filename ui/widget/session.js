/* A visitor's session with the API: its tokens, its requests, and the stream of events that comes back by itself.

   The access token is kept in memory only. What a page keeps beyond a reload is the resume token, which is good for one
   use; a lock sees to it that of several tabs one at a time uses it. Knows nothing of what is shown. */

const SILENT_MS = 45_000; // the server says something every 15 s, if only that it is there
const LONGEST_PAUSE_MS = 15_000;

/** What the API refuses. `retryAfter` in seconds, for 429. */
export class Refused extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export class Session {
  #config;
  #on;
  #token = null;
  #change = 0;
  #beginning = null;
  #stream = null;
  #isListening = false;
  #wake = () => {};

  /** `on`: {begun(session), event(name, data), connected(isConnected), refused(error)}. */
  constructor(config, on) {
    this.#config = config;
    this.#on = on;
    addEventListener("online", () => this.#wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
  }

  /** Goes on with the conversation of before, or begins one; once, however often it is called meanwhile. */
  begin() {
    this.#beginning ??= this.#begin().finally(() => (this.#beginning = null));
    return this.#beginning;
  }

  /** Sends a message; resolved as soon as it is kept. The answer comes as events. */
  async say(text, clientMessageId, context) {
    const body = { text, client_message_id: clientMessageId, context };
    const response = await this.#ask("POST", "messages", { body, accept: "text/event-stream" });
    response.body?.cancel().catch(() => {});
    this.#wake();
  }

  async post(path, body = {}) {
    return (await this.#ask("POST", path, { body })).status === 204;
  }

  async remove(path) {
    await this.#ask("DELETE", path);
  }

  async another() {
    const response = await this.#ask("POST", "conversations", { body: { language: this.#config.language } });
    this.#take(await response.json());
  }

  async picture(citationId, page, scale) {
    const query = new URLSearchParams({ scale: String(scale), ...(page ? { page: String(page) } : {}) });
    const response = await this.#ask("GET", `citations/${encodeURIComponent(citationId)}/page.png?${query}`);
    return createImageBitmap(await response.blob());
  }

  /** Listens until `rest`, coming back after every interruption with the number of the last event. */
  async listen() {
    if (this.#isListening) return this.#wake();
    this.#isListening = true;
    for (let failures = 0; this.#isListening; ) {
      try {
        if (!this.#token) await this.begin();
        await this.#read(() => (failures = 0));
      } catch (error) {
        if (!this.#isListening) break;
        if (error instanceof Refused && error.status === 403) {
          this.#isListening = false;
          return this.#on.refused(error);
        }
        failures += 1;
        this.#on.connected(false, error);
      }
      if (this.#isListening) await this.#pause(Math.min(LONGEST_PAUSE_MS, 500 * 2 ** failures) * (0.8 + Math.random() * 0.4));
    }
  }

  rest() {
    this.#isListening = false;
    this.#stream?.abort();
    this.#wake();
  }

  async #read(onOpen) {
    const stream = (this.#stream = new AbortController());
    let watch = 0;
    const heard = () => {
      clearTimeout(watch);
      watch = setTimeout(() => stream.abort(), SILENT_MS);
    };
    try {
      heard();
      const headers = { "Last-Event-ID": String(this.#change) };
      const response = await this.#ask("GET", "events", { accept: "text/event-stream", headers, signal: stream.signal });
      onOpen();
      this.#on.connected(true);
      for await (const event of eventsOf(response.body, heard)) {
        if (stream.signal.aborted) return;
        if (event.id) this.#change = Number(event.id);
        this.#on.event(event.name, JSON.parse(event.data));
      }
    } finally {
      clearTimeout(watch);
    }
  }

  /** A request with the token, which is renewed once when it is refused. */
  async #ask(method, path, options = {}) {
    if (!this.#token) await this.begin();
    const used = this.#token;
    const response = await this.#fetch(method, path, options, used);
    if (response.ok) return response;
    if (response.status !== 401) throw await refusal(response);
    if (this.#token === used) await this.begin();
    const second = await this.#fetch(method, path, options, this.#token);
    if (second.ok) return second;
    throw await refusal(second);
  }

  #fetch(method, path, { body, accept = "application/json", headers = {}, signal } = {}, token = null) {
    return fetch(new URL(path, this.#config.api), {
      method,
      signal,
      headers: {
        Accept: accept,
        ...headers,
        ...(body ? { "Content-Type": "application/json" } : {}),
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
      },
      body: body ? JSON.stringify(body) : undefined,
      credentials: "omit",
      cache: "no-store",
      // The site's address, not more: the API asks whose page it is, and a page may send no referrer otherwise.
      referrerPolicy: "strict-origin",
    });
  }

  async #begin() {
    const { site, language } = this.#config;
    const identity = (await this.#config.identity()) || null;
    await alone(`answerdesk ${site}`, async () => {
      for (const [resume, proof] of [[kept(site), identity], [null, identity], [null, null]]) {
        const body = { site, language, ...(resume ? { resume } : {}), ...(proof && !this.#token ? { identity: proof } : {}) };
        const response = await this.#fetch("POST", "sessions", { body }, resume ? this.#token : null);
        if (response.ok) return this.#take(await response.json());
        if (response.status !== 401) throw await refusal(response);
        if (resume) keep(site, null);
        else if (!proof) throw await refusal(response);
        else console.warn("Answerdesk: the customer's identity was refused.");
        this.#token = null;
      }
    });
  }

  #take(session) {
    this.#token = session.token;
    this.#change = session.change;
    if (session.resume) keep(this.#config.site, session.resume);
    this.#stream?.abort();
    this.#on.begun(session);
  }

  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Server-sent events of a body (WHATWG HTML, section 9.2): {name, id, data}. */
export async function* eventsOf(body, heard = () => {}) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { name: "message", id: "", data: [] };
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        const [, field, said] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (field === "event") event.name = said;
        else if (field === "id") event.id = said;
        else if (field === "data") event.data.push(said);
        else if (line === "") {
          if (event.data.length) yield { ...event, data: event.data.join("\n") };
          event = { name: "message", id: "", data: [] };
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function refusal(response) {
  const said = await response.json().catch(() => null);
  return new Refused(response.status, said?.error?.message ?? "", Number(response.headers.get("Retry-After")) || 0);
}

const alone = (name, work) => (navigator.locks ? navigator.locks.request(name, work) : work());

function kept(site) {
  try {
    return localStorage.getItem(`answerdesk ${site}`);
  } catch {
    return null; // storage is closed to us: then a reload begins anew
  }
}

function keep(site, resume) {
  try {
    if (resume) localStorage.setItem(`answerdesk ${site}`, resume);
    else localStorage.removeItem(`answerdesk ${site}`);
  } catch {
    /* as above */
  }
}
