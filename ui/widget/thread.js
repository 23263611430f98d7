/* What has been said: the place and the node of every message, how an answer grows, and how the window keeps up with it.

   How others' messages look is message.js, loaded with the first message; until it is there they are plain text. Nothing
   in here speaks to the API. */
import { addStyle, dots, el, icon, part } from "./dom.js";

const PAGE = "M7 3.500h7l4 4v13H7zM14 3.500v4h4M10 12h5M10 15.500h5";

export class Thread {
  #root; #say; #language; #acts;
  #entries = new Map(); // by id, those not sent yet by "new" and their client's id: {message, node}
  #drawing = new Set();
  #follows = true;
  #look = null; // what message.js exports, as soon as there is a message
  #isLoading = false;
  #greeting = el("div.greeting");
  #list = el("div.messages");

  /** `acts`: {open(citation), choose(label), rate(message, rating), again(message)}. */
  constructor(root, say, language, acts) {
    this.#root = root;
    this.#say = say;
    this.#language = language;
    this.#acts = acts;
    this.node = el("div.log", { role: "log", "aria-live": "off", "aria-label": say("messages"), tabindex: "0", onscroll: () => this.#scrolled() },
      this.#greeting, this.#list);
  }

  get messages() {
    return [...this.#entries.values()].map(({ message }) => message);
  }

  /** What stands above the first message, and what one may begin with. */
  greet(greeting, product, questions) {
    const say = this.#say;
    this.#greeting.replaceChildren(
      el("p.hello", {}, greeting || say("greeting")),
      product ? el("p.about", {}, icon(PAGE), say("about", { product })) : "",
      this.#entries.size || !questions.length ? "" : el("div.choices", {},
        questions.map((each) => el("button.choice", { onclick: () => this.#acts.choose(each) }, each))));
  }

  /** What the server has takes the place of everything but of what was not sent yet. */
  begin(messages) {
    const unsent = this.messages.filter((each) => each.state && !messages.some((sent) => isSame(sent, each)));
    this.#entries.clear();
    this.#list.replaceChildren();
    for (const message of [...messages, ...unsent]) this.put(message);
  }

  /** Whether the server has it by now. */
  isSent(message) {
    return this.messages.some((each) => each.id && isSame(each, message));
  }

  put(message) {
    const sent = `new ${message.client_message_id}`;
    const unsent = message.role === "customer" ? this.#entries.get(sent) : undefined;
    const entry = this.#entries.get(message.id ?? sent) ?? unsent ?? { node: el("div.message") };
    if (message.id && unsent) {
      // The place of a sent message is where the server has it; its node stays, for the reader's eyes and focus.
      unsent.message.id = message.id;
      this.#entries.delete(sent);
    }
    entry.message = message;
    this.#entries.set(message.id ?? sent, entry);
    this.#load();
    entry.node.className = `message is-${message.role}${message.state === "failed" ? " is-failed" : ""}`;
    if (!entry.node.isConnected) this.#list.append(entry.node);
    this.#draw(entry);
  }

  /** Puts what came; whether it is somebody's finished words that were not there before. */
  arrived(message) {
    const isOver = (each) => each && each.status !== "answering" && each.status !== "received";
    const before = this.#entries.get(message.id)?.message;
    this.put(message);
    return message.role !== "customer" && isOver(message) && !isOver(before);
  }

  /** Changes an answer that is being written. */
  grow(id, change) {
    const entry = this.#entries.get(id);
    if (!entry || entry.message.status !== "answering") return;
    change(entry.message);
    if (!this.#drawing.size) requestAnimationFrame(() => this.#drawAll());
    this.#drawing.add(entry);
  }

  redraw(message) {
    const entry = this.#entries.get(message.id);
    if (entry) this.#draw(entry);
  }

  /** Only the newest message's choices may be taken, so the one before is drawn again. */
  showOptions() {
    const entries = [...this.#entries.values()];
    for (const entry of entries.slice(-3)) if (entry.message.choices.length) this.#draw(entry);
    if (entries.length) this.#greeting.querySelector(".choices")?.remove();
  }

  /** Keeps up with what is being written, until the beginning of it would leave the window. */
  follow(node = null) {
    if (!this.#follows) return;
    const log = this.node;
    const end = log.scrollHeight - log.clientHeight;
    const top = node?.classList.contains("is-assistant") ? node.offsetTop - log.offsetTop - 64 : end;
    log.scrollTop = Math.max(log.scrollTop, Math.min(end, top));
    this.#follows = end - log.scrollTop < 60 || top < end;
  }

  toEnd() {
    this.#follows = true;
    this.node.scrollTop = this.node.scrollHeight;
  }

  #drawAll() {
    for (const entry of this.#drawing) this.#draw(entry);
    this.#drawing.clear();
  }

  #draw(entry) {
    const { message, node } = entry;
    const isLast = [...this.#entries.values()].at(-1) === entry;
    node.replaceChildren(...this.#nodes(message, isLast).filter(Boolean));
    node.setAttribute("aria-busy", String(message.status === "answering"));
    this.follow(node);
  }

  #nodes(message, isLast) {
    const [say, acts] = [this.#say, this.#acts];
    if (message.role === "customer") return customer(message, say, acts);
    if (message.role === "system") return [el("p.system", {}, message.text)];
    if (this.#look) return this.#look.theirs(message, { say, language: this.#language, acts, isLast });
    return [message.text ? el("div.text", {}, message.text) : thinking(say)];
  }

  async #load() {
    if (this.#look || this.#isLoading) return;
    this.#isLoading = true;
    this.#look = await part("message").catch(() => null); // without it an answer is still one; the next tries again
    this.#isLoading = false;
    if (!this.#look) return;
    addStyle(this.#root, this.#look.STYLE);
    const isRead = this.#follows && !this.messages.some(({ status }) => status === "answering");
    for (const entry of this.#entries.values()) this.#draw(entry);
    if (isRead) this.toEnd();
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.node;
    this.#follows = scrollHeight - scrollTop - clientHeight < 60;
  }
}

export const thinking = (say) => el("div.thinking", {}, dots(), el("span", {}, say("thinking")));

/** The text as it is read aloud. */
export const spoken = (text) => text.replace(/\s*\[\d{1,3}\]/g, "").replace(/[*`#|]/g, " ");

function customer(message, say, acts) {
  const states = { sending: say("sending"), failed: message.problem || say("not_sent"), waiting: message.problem };
  return [
    el("div.bubble", {}, el("span.unseen", {}, `${say("you")}: `), message.text),
    states[message.state] && el("div.state", { role: message.state === "failed" ? "alert" : null }, states[message.state],
      message.state === "failed" && el("button.link", { onclick: () => acts.again(message) }, say("again"))),
  ];
}

const isSame = (one, other) => one.role === "customer" && other.role === "customer" && one.client_message_id === other.client_message_id;
