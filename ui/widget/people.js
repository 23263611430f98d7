/* What there is to see and to do as soon as a person is wanted: the queue, who has the conversation, who is typing, and
   at the end how it was. Loaded when a conversation has come to that.

   Owns these parts of the window; what has been said is thread.js. */
import { addStyle, dots, el, initial, part } from "./dom.js";

const TYPING_EVERY_MS = 3_000;
const TYPING_SHOWN_MS = [4_000, 15_000];

export const isToPeople = (handOff) => ["queued", "claimed"].includes(handOff?.status);

export class People {
  #root; #say; #session; #chat; #thread; #window; #usual;
  #state = null;
  #isRated = false;
  #typedAt = 0;
  #timer = 0;
  #queue = el("div.queue", { hidden: true });
  #typing;
  #after = el("div.after");

  /** `chat`: {ask(work), isDismissed(), dismiss()}. */
  constructor({ root, say, session, thread, window, chat }) {
    this.#root = root;
    this.#say = say;
    this.#session = session;
    this.#chat = chat;
    this.#thread = thread;
    this.#window = window;
    this.#usual = { face: [...window.face.childNodes], who: window.who.textContent };
    this.#typing = el("div.typing", { hidden: true }, dots(), el("span"));
    thread.node.append(this.#typing, this.#after);
    thread.node.before(this.#queue);
    addStyle(root, STYLE);
  }

  /** How far the hand-off of a conversation is that begins or goes on here. */
  begun(state, isRated) {
    this.#isRated = isRated;
    this.#state = null;
    this.changed(state, false);
  }

  changed(state, isNews = true) {
    const before = this.#state;
    this.#state = state;
    const isClaimed = state?.status === "claimed";
    const name = isClaimed ? state.agent ?? this.#say("someone") : "";
    this.#showQueue(state);
    this.#showWho(name);
    if (isClaimed && isNews && before?.agent !== state.agent) this.#window.announce(this.#say("joined", { name }));
    if (!isClaimed) this.typing({ until: null });
    if (state?.status !== "resolved") this.#after.replaceChildren();
    else if (!this.#after.firstChild && !this.#isRated && !this.#chat.isDismissed()) this.#askForRating();
    this.#thread.follow(); // the queue takes room from what was said last
  }

  typing({ role, name, until }) {
    clearTimeout(this.#timer);
    const [least, most] = TYPING_SHOWN_MS;
    const isTyping = role === "agent" && Boolean(until);
    this.#typing.hidden = !isTyping;
    if (!isTyping) return;
    this.#typing.lastChild.textContent = this.#say("typing", { name: name || this.#say("someone") });
    this.#timer = setTimeout(() => this.typing({ until: null }), Math.min(Math.max(Date.parse(until) - Date.now(), least), most));
    this.#thread.follow();
  }

  /** The customer writes: whoever has the conversation may see that. */
  typed() {
    if (!isToPeople(this.#state) || Date.now() - this.#typedAt <= TYPING_EVERY_MS) return;
    this.#typedAt = Date.now();
    this.#session.post("typing").catch(() => {}); // nothing is lost with it
  }

  #showQueue(state) {
    const say = this.#say;
    const isQueued = state?.status === "queued";
    this.#queue.hidden = !isQueued;
    if (!isQueued) return;
    const { position } = state;
    const text = position === 1 ? say("position_first") : position ? say("position", { position, ahead: position - 1 }) : say("queued");
    this.#queue.replaceChildren(el("span", { role: "status" }, text),
      el("button.link", { onclick: () => this.#chat.ask(() => this.#session.remove("hand-off")) }, say("back")));
  }

  #showWho(name) {
    const { face, who, person } = this.#window;
    face.replaceChildren(...(name ? [initial(name)] : this.#usual.face));
    face.classList.toggle("is-person", Boolean(name));
    who.textContent = name ? `${name} ${this.#say("here")}` : this.#usual.who;
    person.hidden = isToPeople(this.#state);
  }

  async #askForRating() {
    const { ratingCard } = await part("rating");
    if (this.#state?.status !== "resolved" || this.#after.firstChild) return;
    const rate = async (stars, comment) => {
      await this.#session.post("rating", { stars, comment });
      this.#isRated = true;
      this.#window.settle();
      this.#window.announce(this.#say("rated"));
    };
    const dismiss = () => {
      this.#window.settle();
      this.#chat.dismiss();
    };
    this.#after.replaceChildren(ratingCard(this.#root, this.#say, { rate, dismiss }));
    this.#thread.follow();
  }
}

const STYLE = `
.queue { display: flex; gap: 10px; justify-content: space-between; align-items: center; padding: 8px 18px; font-size: 13px; line-height: 1.45; background: var(--tint); }
.queue .link { flex: none; }
.face.is-person { border-radius: 50%; }
.typing { display: flex; align-items: center; gap: 9px; margin-top: 14px; color: var(--soft); font-size: 13.5px; }
`;
