// What the agent writes: replies, notes, suggested answers, and what becomes of the conversation.

import { askEnding, askTransfer } from "./dialogs.js";
import { make, picture } from "./dom.js";
import { withMarkers } from "./said.js";
import { whereOf } from "./thread.js";
import { say } from "./words.js";

/** Not `randomUUID`, which browsers have on encrypted pages only. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One for the whole inbox; `draw` is called when the conversation, its hand-off or the suggestion changes. */
export class Composer {
  #inbox;
  #pane;
  #mode = "reply";
  #sending = null; // {text, id}: sent again under the same id, it is the same message
  #suggestion = null; // what the text in the box was made from

  constructor(pane, inbox) {
    this.#pane = pane;
    this.#inbox = inbox;
  }

  draw() {
    const inbox = this.#inbox;
    const focus = this.#pane.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    this.#pane.replaceChildren();
    this.#pane.hidden = !inbox.conversation;
    if (!inbox.conversation) {
      this.#suggestion = null;
      return;
    }
    const handOff = inbox.handOff;
    if (!inbox.account) {
      this.#pane.append(make("p.standing", {}, say("needs_account")));
      return;
    }
    if (!inbox.isMine) this.#mode = "note";
    else if (this.wasMine !== handOff.id) this.#mode = "reply";
    this.wasMine = inbox.isMine ? handOff.id : null;
    this.#pane.append(...[this.#standing(handOff), this.#suggested(), this.#form(handOff)].filter(Boolean));
    this.#fit();
    if (focus) (this.#pane.querySelector(`[data-key="${focus}"]`) ?? this.#box)?.focus();
  }

  get #box() {
    return this.#pane.querySelector("textarea");
  }

  get #draft() {
    return `${this.#mode} ${this.#inbox.chosen}`;
  }

  #standing(handOff) {
    const inbox = this.#inbox;
    if (!handOff || inbox.isMine) return null;
    if (handOff.status === "queued") {
      const claim = async () => (await inbox.claim(handOff)) && this.#box?.focus();
      return make(
        "div.standing.to-claim",
        {},
        make("span", {}, say("claim_more")),
        make("button.main", { type: "button", "data-key": "claim", click: claim }, picture("claim"), say("claim_this")),
      );
    }
    const told = handOff.status === "claimed" ? say("claimed_by", { name: handOff.agent?.name ?? "" }) : say(`ended_${handOff.status}`);
    return make("p.standing", { role: "status" }, told);
  }

  #suggested() {
    const { suggestion } = this.#inbox;
    if (!suggestion || this.#mode !== "reply") return null;
    if (suggestion.status === "making") return make("div.suggestion", { role: "status" }, make("p.soft", {}, say("suggesting")));
    const known = new Map(suggestion.citations.map((each) => [each.marker, each]));
    const take = () => {
      this.#suggestion = suggestion;
      this.#inbox.drafts.set(this.#draft, suggestion.text);
      this.#forget();
      this.#box.focus();
    };
    const send = () => this.#send(suggestion.text, suggestion);
    const isSilent = suggestion.kind === "not_in_manuals";
    return make(
      "section.suggestion",
      { "aria-label": say("suggested") },
      make("h3", {}, picture("spark"), isSilent ? say("not_in_manuals") : say("suggested")),
      make("div.suggestion-text", {}, withMarkers(suggestion.text, known)),
      make("div.chips", {}, suggestion.citations.map((each) => make("span.source", { title: each.quote }, make("span.marker", {}, String(each.marker)), whereOf(each)))),
      make(
        "div.row",
        {},
        make("button.main", { type: "button", "data-key": "send-suggestion", click: send }, say("send")),
        make("button", { type: "button", "data-key": "edit-suggestion", click: take }, say("edit")),
        make("button.quiet", { type: "button", "data-key": "discard", click: () => this.#forget() }, say("discard")),
      ),
    );
  }

  #forget() {
    this.#inbox.suggestion = null;
    this.draw();
  }

  #form(handOff) {
    const inbox = this.#inbox;
    const isReply = this.#mode === "reply";
    const box = make("textarea", {
      rows: "2",
      maxlength: "4000",
      placeholder: say(isReply ? "write_reply" : "write_note"),
      "aria-label": say(isReply ? "reply" : "note"),
      "data-key": "text",
      value: inbox.drafts.get(this.#draft) ?? "",
      input: () => this.#written(),
      keydown: (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        this.#submit();
      },
    });
    const mode = (name, icon) =>
      make(
        "button.mode",
        { type: "button", "data-key": `mode-${name}`, "aria-pressed": String(this.#mode === name), click: () => this.#choose(name) },
        picture(icon),
        say(name),
      );
    const act = (name, icon, what, label = name) =>
      make("button.quiet", { type: "button", title: say(name), "data-key": name, click: what }, picture(icon), make("span.label", {}, say(label)));
    const submit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    const keep = make("label.keep", {}, make("input", { type: "checkbox", name: "keep", "data-key": "keep" }), say("keep_as_faq"));
    return make(
      `form.write.is-${this.#mode}`,
      { submit },
      make(
        "div.row.above",
        {},
        inbox.isMine && mode("reply", "send"),
        inbox.isMine && mode("note", "note"),
        make("span.push"),
        inbox.isMine && act("transfer", "move", () => askTransfer(inbox, handOff)),
        inbox.isMine && act("return", "back", () => askEnding(inbox, handOff, "return"), "give_back"),
        inbox.isMine && act("resolve", "check", () => askEnding(inbox, handOff, "resolve")),
      ),
      box,
      make(
        "div.row.below",
        {},
        isReply && act("suggest", "spark", () => inbox.suggest()),
        isReply && keep,
        make("span.push"),
        make("span.soft.sending", { role: "status" }),
        make("button.main", { type: "submit", "data-key": "send" }, say(isReply ? "send" : "keep_note")),
      ),
    );
  }

  #choose(mode) {
    this.#mode = mode;
    this.draw();
    this.#box.focus();
  }

  #written() {
    this.#inbox.drafts.set(this.#draft, this.#box.value);
    this.#fit();
    if (this.#mode === "reply" && this.#box.value.trim()) this.#inbox.types();
  }

  /** As high as its text, up to a limit of the style sheet's. */
  #fit() {
    const box = this.#box;
    if (!box) return;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  }

  async #submit() {
    const text = this.#box.value.trim();
    if (!text || this.#pane.getAttribute("aria-busy") === "true") return;
    if (this.#mode === "reply") return this.#send(text, this.#suggestion);
    const draft = this.#draft;
    if (await this.#busy(() => this.#inbox.note(text))) this.#sent(draft);
  }

  async #send(text, suggestion) {
    if (this.#sending?.text !== text) this.#sending = { text, id: newId() };
    const keep = this.#pane.querySelector("[name=keep]")?.checked ?? false;
    const draft = this.#draft;
    if (await this.#busy(() => this.#inbox.reply(text, this.#sending.id, { suggestion, keep }))) this.#sent(draft);
  }

  #sent(draft) {
    this.#inbox.drafts.delete(draft);
    this.#sending = null;
    this.#suggestion = null;
    this.draw();
    this.#box?.focus();
  }

  async #busy(act) {
    const told = this.#pane.querySelector(".sending");
    this.#pane.setAttribute("aria-busy", "true");
    if (told) told.textContent = say("sending");
    try {
      return await act();
    } finally {
      this.#pane.removeAttribute("aria-busy");
      if (told) told.textContent = "";
    }
  }
}
