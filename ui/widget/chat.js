/* The open chat: what the customer does in it, and what the server says to it.

   Owns what happens when. The window is window.js, what has been said thread.js, how the API is spoken to session.js, and
   what only matters with a person people.js, which is loaded when one is wanted. */
import { addStyle, part } from "./dom.js";
import { Refused, Session } from "./session.js";
import { CHAT_STYLE } from "./style.js";
import { Thread, spoken } from "./thread.js";
import { Window } from "./window.js";

export class Chat {
  #config; #root; #launcher; #showLauncher; #restart; #host; #session; #say; #thread; #window;
  #isOpen = false;
  #unread = 0;
  #handOff = null;
  #conversation = null;
  #site = null;
  #people = null; // the promise of what people.js makes, as soon as a person is wanted

  /** `texts` are in the page's language; `restart(language)` makes another chat, where the site has its own. */
  constructor({ config, host, root, launcher, show, texts, restart }) {
    this.#restart = restart;
    this.#config = config;
    this.#host = host;
    this.#root = root;
    this.#launcher = launcher;
    this.#showLauncher = show;
    this.#say = speaker(texts);
    addStyle(root, CHAT_STYLE);
    this.#session = new Session(config, {
      begun: (session) => this.#begun(session),
      event: (name, data) => this.#happened(name, data),
      connected: (isConnected) => this.#connected(isConnected),
      refused: (error) => this.#refused(error),
    });
    this.#thread = new Thread(root, this.#say, config.language, {
      open: (citation) => this.#showPage(citation),
      choose: (label) => this.#choose(label),
      rate: (message, rating) => this.#rate(message, rating),
      again: (unsent) => (this.#window.settle(), this.#send(unsent)),
    });
    this.#window = new Window(this.#say, this.#thread.node, {
      close: () => this.close(),
      anew: () => this.#ask(async () => (await this.#session.another(), this.#session.listen())),
      person: () => this.#ask(() => this.#session.post("hand-off")),
      typed: () => this.#people?.then((people) => people?.typed()),
      send: (text) => this.#write(text),
    });
    root.insertBefore(this.#window.panel, launcher);
    this.#greet("");
  }

  open() {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#unread = 0;
    this.#showLauncher(true);
    this.#window.panel.hidden = false;
    this.#window.fit();
    this.#remember();
    this.#session.listen();
    this.#thread.toEnd();
    this.#window.settle();
  }

  close() {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#showLauncher(false);
    this.#window.panel.hidden = true;
    this.#remember();
    if (!this.#isWaiting) this.#session.rest();
    this.#launcher.focus();
  }

  /** Listens without being open: somebody may answer. */
  wake() {
    this.#session.listen();
  }

  get #isWaiting() {
    const isUnanswered = this.#thread.messages.some(({ status, state }) => status === "answering" || state === "sending");
    return isUnanswered || this.#isToPeople;
  }

  get #isToPeople() {
    return ["queued", "claimed"].includes(this.#handOff?.status);
  }

  // What the server says.

  #begun(session) {
    const { language } = session.site;
    if (language !== "auto" && language !== this.#config.language && !this.#config.languageIsChosen) {
      this.#session.rest();
      this.#window.panel.remove();
      return this.#restart(language);
    }
    this.#site = session.site;
    this.#window.name(session.site.title);
    for (const [name, value] of Object.entries(session.site.theme ?? {})) {
      const isThePages = getComputedStyle(document.documentElement).getPropertyValue(name) !== "";
      if (name.startsWith("--answerdesk-") && !isThePages) this.#host.style.setProperty(name, value);
    }
    this.#conversation = session.conversation_id;
    this.#thread.begin(session.messages);
    this.#greet(session.site.greeting);
    this.#changeHandOff(session.hand_off, (people) => people.begun(session.hand_off, session.rated));
    this.#showOptions();
    this.#thread.toEnd();
  }

  #happened(name, data) {
    if (name === "message" || name === "done") this.#arrived(data);
    else if (name === "token") this.#thread.grow(data.message_id, (message) => (message.text += data.text));
    else if (name === "citation") this.#thread.grow(data.message_id, ({ citations }) => {
      if (!citations.some((each) => each.id === data.citation.id)) citations.push(data.citation);
    });
    else if (name === "typing") this.#withPeople((people) => people.typing(data));
    else if (name === "hand_off") this.#changeHandOff(data, (people) => people.changed(data));
  }

  #arrived(message) {
    const isNews = this.#thread.arrived(message);
    if (message.role === "agent") this.#people?.then((people) => people?.typing({ until: null }));
    if (isNews) {
      this.#window.announce(`${message.author ?? this.#say("assistant")}: ${spoken(message.text) || this.#say("failed")}`);
      if (!this.#isOpen) this.#showLauncher(false, (this.#unread += 1));
    }
    this.#showOptions();
  }

  #connected(isConnected) {
    this.#window.connected(isConnected, this.#site ? "reconnecting" : "unavailable");
    if (!isConnected) return;
    for (const message of this.#thread.messages) if (message.state === "failed" && message.isCut) this.#send(message);
  }

  #refused() {
    console.warn("Answerdesk: this page's origin is not listed with the site, or there is no such site.");
    this.#window.refuse();
  }

  #changeHandOff(state, show) {
    this.#handOff = state;
    this.#remember();
    if (state || this.#people) this.#withPeople(show);
  }

  /** Without people.js the conversation goes on all the same; what comes next asks for it again. */
  async #withPeople(work) {
    this.#people ??= part("people").then(({ People }) => {
      const chat = {
        ask: (asked) => this.#ask(asked),
        isDismissed: () => this.#memory().dismissed === this.#conversation,
        dismiss: () => this.#remember({ dismissed: this.#conversation }),
      };
      return new People({ root: this.#root, say: this.#say, session: this.#session, thread: this.#thread, window: this.#window, chat });
    }, () => (this.#people = null));
    const people = await this.#people;
    if (people) work(people);
  }

  // What the customer does.

  #write(text) {
    const message = { id: null, client_message_id: crypto.randomUUID(), role: "customer", text, citations: [], choices: [], products: [] };
    this.#send(message);
    this.#showOptions();
  }

  #choose(label) {
    this.#window.settle();
    this.#write(label);
  }

  async #send(message) {
    const say = (state, problem = "") => {
      if (message.id) return;
      Object.assign(message, { state, problem, isCut: false });
      this.#thread.put(message);
    };
    say("sending");
    this.#thread.toEnd();
    this.#session.listen();
    try {
      await this.#session.say(message.text, message.client_message_id, { ...this.#config.context(), language: this.#config.language });
      if (!this.#thread.isSent(message)) say(null);
    } catch (error) {
      if (!(error instanceof Refused)) {
        say("failed");
        message.isCut = true; // sent again, under the same id, as soon as there is a connection
      } else if (error.status === 429) {
        const seconds = Math.max(1, error.retryAfter);
        say("waiting", this.#say("slow_down", { seconds }));
        setTimeout(() => this.#send(message), seconds * 1000);
      } else if (error.status >= 500) say("failed");
      else say("failed", error.status === 413 || error.status === 422 ? this.#say("too_long") : error.message);
    }
  }

  async #ask(work) {
    this.#window.settle();
    try {
      await work();
    } catch (error) {
      this.#complain(error);
    }
  }

  #complain(error) {
    this.#window.announce(error instanceof Refused ? error.message : this.#say("reconnecting"), true);
  }

  async #rate(message, rating) {
    const before = message.rating;
    const key = `${rating} ${message.id}`;
    const redraw = (value) => {
      message.rating = value;
      this.#thread.redraw(message);
      this.#root.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
    };
    redraw(rating);
    try {
      await this.#session.post(`messages/${encodeURIComponent(message.id)}/feedback`, { rating });
    } catch (error) {
      redraw(before);
      this.#complain(error);
    }
  }

  async #showPage(citation) {
    try {
      const { showPage } = await part("overlay");
      showPage({ root: this.#root, say: this.#say, citation, picture: (page) => this.#session.picture(citation.id, page, 2) });
    } catch (error) {
      this.#complain(error);
    }
  }

  #greet(greeting) {
    this.#thread.greet(greeting, this.#config.context().product, this.#config.questions);
  }

  #showOptions() {
    this.#thread.showOptions();
    this.#window.anew.hidden = this.#thread.messages.length === 0;
  }

  // What a reload may know: whether to open, and nothing of what was said.

  #memory() {
    try {
      return JSON.parse(sessionStorage.getItem(`answerdesk ${this.#config.site}`) ?? "{}");
    } catch {
      return {};
    }
  }

  #remember(more = {}) {
    const state = { ...this.#memory(), open: this.#isOpen, waiting: this.#isToPeople, ...more };
    try {
      sessionStorage.setItem(`answerdesk ${this.#config.site}`, JSON.stringify(state));
    } catch {
      /* storage is closed to us */
    }
  }
}

/** What says such a text; `{name}` is filled in. */
const speaker = (texts) => (key, values = {}) => texts[key].replace(/\{(\w+)\}/g, (all, name) => String(values[name] ?? ""));
