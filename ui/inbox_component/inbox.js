// The inbox itself: which hand-offs there are, which conversation is open, and what the agent does with it.
// Owns the state and the live connections; draws nothing. `changed(part)` is called after every change, with
// "list", "thread", "details", "typing" or "composer".

import { ApiError } from "./api.js";
import { say } from "./words.js";

const OPEN = new Set(["queued", "claimed"]);
const TYPING_EVERY_MS = 3_000;
const READ_AGAIN_MS = 120;

export class Inbox {
  box = "queue";
  handOffs = new Map();
  cursor = null;
  agents = [];
  isLive = true;
  chosen = null; // id of the conversation that is open
  conversation = null;
  typing = null; // {name, until} of the customer
  suggestion = null; // {status, text, citations, message_id}
  problem = "";
  drafts = new Map();
  #seen;
  #ending = new AbortController();
  #conversationEnding = null;
  #typedAt = 0;
  #timer = 0;
  #typingTimer = 0;

  constructor(api, account, changed) {
    this.api = api;
    this.account = account;
    this.changed = changed;
    this.#seen = new Map(Object.entries(JSON.parse(localStorage.getItem(this.#key) ?? "{}")));
  }

  get #key() {
    return `answerdesk-inbox-seen-${this.account?.id ?? ""}`;
  }

  /** Reads all boxes, then goes on with their events. */
  async start() {
    try {
      const boxes = await Promise.all(["queue", "mine", "all"].map((box) => this.api.get(`/api/inbox?box=${box}`)));
      for (const each of boxes.flatMap((box) => box.hand_offs)) this.#keep(each);
      this.cursor = boxes[2].next_cursor;
      this.agents = (await this.api.get("/api/inbox/agents")).agents;
      if (!this.inBox("queue").length && this.inBox("mine").length) this.box = "mine";
      this.changed("list");
      await this.api.follow("/api/inbox/events", Math.min(...boxes.map((box) => box.change)), {
        signal: this.#ending.signal,
        onEvent: (name, data) => this.#happened(name, data),
        onState: (isLive) => this.#connection(isLive),
      });
    } catch (error) {
      this.#failed(error);
      if (error.status === 0 || error.status >= 500) setTimeout(() => !this.#ending.signal.aborted && this.start(), 3_000);
    }
  }

  stop() {
    this.#ending.abort();
    this.#conversationEnding?.abort();
  }

  /** The hand-offs of a box: open ones oldest first, all newest first. */
  inBox(box) {
    const all = [...this.handOffs.values()];
    if (box === "all") return all.sort((one, other) => (one.id < other.id ? 1 : -1));
    const groups = this.account?.groups ?? [];
    const belongs = {
      queue: (each) => each.status === "queued" && (!groups.length || groups.includes(each.skill_group)
        || each.is_everybodys || each.offered_to === this.account?.id),
      mine: (each) => each.status === "claimed" && each.agent?.id === this.account?.id,
    }[box];
    return all.filter(belongs).sort((one, other) => (one.id < other.id ? -1 : 1));
  }

  async readMore() {
    await this.#tried(async () => {
      const page = await this.api.get(`/api/inbox?box=all&cursor=${encodeURIComponent(this.cursor)}`);
      for (const each of page.hand_offs) this.#keep(each);
      this.cursor = page.next_cursor;
      this.changed("list");
    });
  }

  /** Whether the customer has written since this agent last looked. */
  isUnread(handOff) {
    const last = handOff.last_message;
    if (!OPEN.has(handOff.status) || last?.role !== "customer") return false;
    return handOff.conversation_id !== this.chosen && (this.#seen.get(handOff.conversation_id) ?? "") < last.created_at;
  }

  /** The hand-off that the open conversation is in, or was in last. */
  get handOff() {
    const [last] = [...this.handOffs.values()]
      .filter((each) => each.conversation_id === this.chosen)
      .sort((one, other) => (one.id < other.id ? 1 : -1));
    return last ?? null;
  }

  get isMine() {
    return this.handOff?.status === "claimed" && this.account !== null && this.handOff.agent?.id === this.account.id;
  }

  get presence() {
    return this.agents.find((each) => each.id === this.account?.id)?.status ?? "offline";
  }

  async open(conversation) {
    this.#conversationEnding?.abort();
    const ending = (this.#conversationEnding = new AbortController());
    Object.assign(this, { chosen: conversation, conversation: null, typing: null, suggestion: null, problem: "" });
    for (const part of ["list", "thread", "details", "composer"]) this.changed(part);
    if (conversation === null) return;
    await this.#tried(async () => {
      await this.#read(conversation);
      if (ending.signal.aborted) return;
      this.changed("composer");
      await this.api.follow(`/api/conversations/${conversation}/events`, this.conversation.change, {
        signal: ending.signal,
        onEvent: (name, data) => this.#saidHere(conversation, name, data),
        onState: (isLive) => this.#connection(isLive),
      });
    });
  }

  claim = (handOff) => this.#change(handOff, "claim");
  resolve = (handOff, text, keep) => this.#change(handOff, "resolve", { text: text || null, keep_as_faq: keep });
  giveBack = (handOff, text) => this.#change(handOff, "return", { text: text || null });
  transfer = (handOff, to, note) => this.#change(handOff, "transfer", { ...to, note });

  /** Sends a reply. True when it has arrived; what was written stays in the box otherwise. */
  reply(text, id, { suggestion = null, keep = false } = {}) {
    const citations = (suggestion?.citations ?? []).filter((each) => text.includes(`[${each.marker}]`));
    return this.#tried(async () => {
      await this.api.post(`/api/inbox/conversations/${this.chosen}/messages`, {
        text,
        client_message_id: id,
        suggestion_of: suggestion?.message_id ?? null,
        citations: citations.map(({ marker, passage_id, quote }) => ({ marker, passage_id, quote })),
        keep_as_faq: keep,
      });
      this.suggestion = null;
      await this.#read(this.chosen);
      this.changed("composer");
    });
  }

  note(text) {
    return this.#tried(async () => {
      await this.api.post(`/api/inbox/conversations/${this.chosen}/notes`, { text });
      await this.#read(this.chosen);
    });
  }

  async suggest() {
    const conversation = this.chosen;
    this.suggestion = { status: "making" };
    this.changed("composer");
    const made = await this.#tried(async () => {
      const suggestion = await this.api.post(`/api/inbox/conversations/${conversation}/suggestion`);
      if (this.chosen === conversation) this.suggestion = { status: "made", ...suggestion };
    });
    if (!made && this.chosen === conversation) this.suggestion = null;
    this.changed("composer");
  }

  /** Tells the customer, now and then, that the agent is writing. */
  async types() {
    if (!this.isMine || Date.now() - this.#typedAt < TYPING_EVERY_MS) return;
    this.#typedAt = Date.now();
    await this.api.post(`/api/inbox/conversations/${this.chosen}/typing`).catch((error) => {
      if (!(error instanceof ApiError)) throw error; // the customer misses three dots; the reply tells if it is worse
    });
  }

  setPresence(status) {
    return this.#tried(async () => {
      await this.api.put("/api/inbox/presence", { status });
      this.agents = (await this.api.get("/api/inbox/agents")).agents;
      this.changed("list");
    });
  }

  async #change(handOff, what, body = undefined) {
    return this.#tried(async () => {
      try {
        const changed = await this.api.post(`/api/inbox/hand-offs/${handOff.id}/${what}`, body);
        this.#keep(changed);
        if (what === "claim") this.box = "mine";
      } finally {
        if (this.chosen === handOff.conversation_id) await this.#read(this.chosen);
        for (const part of ["list", "composer"]) this.changed(part);
      }
    });
  }

  async #read(conversation) {
    const read = await this.api.get(`/api/inbox/conversations/${conversation}`);
    if (this.chosen !== conversation) return;
    this.conversation = read;
    for (const each of read.hand_offs) this.#keep(each);
    this.#look(read.messages.at(-1)?.created_at ?? "");
    for (const part of ["list", "thread", "details"]) this.changed(part);
  }

  #look(until) {
    this.#seen.set(this.chosen, until);
    const kept = [...this.#seen].slice(-300);
    localStorage.setItem(this.#key, JSON.stringify(Object.fromEntries(kept)));
  }

  #keep(handOff) {
    const known = this.handOffs.get(handOff.id);
    if (known && known.change > handOff.change) return;
    this.handOffs.set(handOff.id, handOff);
    const isSame = known?.status === handOff.status && known?.agent?.id === handOff.agent?.id;
    if (!isSame && handOff.conversation_id === this.chosen) this.changed("composer");
  }

  #happened(name, data) {
    if (name === "presence") this.agents = data.agents;
    if (name === "hand_off") {
      this.#keep(data);
      if (data.conversation_id === this.chosen) this.#readSoon();
    }
    this.changed("list");
  }

  #saidHere(conversation, name, data) {
    if (this.chosen !== conversation || this.conversation === null) return;
    if (name === "typing" && data.role === "customer") this.#customerTypes(data);
    else if (name === "token") {
      const message = this.conversation.messages.find((each) => each.id === data.message_id);
      if (message) message.text += data.text;
      this.changed("thread");
    } else if (name !== "typing") {
      if (data.role === "customer") this.#customerTypes({ until: null });
      this.#readSoon();
    }
  }

  #customerTypes({ name, until }) {
    clearTimeout(this.#typingTimer);
    const left = until === null ? 0 : new Date(until).getTime() - Date.now();
    this.typing = until !== null ? { name: name || say("customer") } : null;
    if (this.typing) this.#typingTimer = setTimeout(() => this.#customerTypes({ until: null }), Math.max(left, 1_000));
    this.changed("typing");
  }

  #readSoon() {
    clearTimeout(this.#timer);
    const conversation = this.chosen;
    const read = () => this.chosen === conversation && this.#tried(() => this.#read(conversation));
    this.#timer = setTimeout(read, READ_AGAIN_MS);
  }

  #connection(isLive) {
    if (this.isLive === isLive) return;
    this.isLive = isLive;
    this.changed("list");
  }

  async #tried(act) {
    try {
      await act();
      if (this.problem) {
        this.problem = "";
        this.changed("problem");
      }
      return true;
    } catch (error) {
      if (error.name !== "AbortError") this.#failed(error);
      return false;
    }
  }

  #failed(error) {
    if (!(error instanceof ApiError)) throw error;
    this.problem = error.code === "unreachable" ? say("unreachable") : error.message;
    this.changed("problem");
  }
}
