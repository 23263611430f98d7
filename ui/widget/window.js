/* The chat's window: its parts, where it stands, what it says by itself, and what is written into it.

   Knows nothing of conversations: `acts` is what there is to do. */
import { el, icon } from "./dom.js";

const STROKES = {
  page: "M7 3.500h7l4 4v13H7zM14 3.500v4h4M10 12h5M10 15.500h5",
  close: "M6 6l12 12M18 6L6 18",
  anew: "M12 5v14M5 12h14",
  send: "M12 19V5.500M6 11l6-6 6 6",
  person: "M12 12a3.800 3.800 0 1 0 0-7.600 3.800 3.800 0 0 0 0 7.600zM4.800 20c.5-3.600 3.500-5.400 7.200-5.400s6.700 1.800 7.200 5.400",
};
const LONGEST = 4000;
const HIGHEST = 132;
const PHONE = matchMedia("(max-width: 520px)");

export class Window {
  #say; #acts;
  #isCut = false;
  #isRefused = false;

  /** `acts`: {close(), anew(), person(), typed(), send(text)}; `log` is where the messages are. */
  constructor(say, log, acts) {
    this.#say = say;
    this.#acts = acts;
    const tool = (name, label, onclick) => el("button.tool", { "aria-label": say(label), title: say(label), onclick }, icon(STROKES[name]));
    this.title = el("h2", {}, say("title"));
    this.who = el("p.who", {}, say("assistant_more"));
    this.face = el("span.face", { "aria-hidden": "true" }, icon(STROKES.page));
    this.banner = el("p.banner", { role: "status", hidden: true });
    this.aloud = el("div.unseen", { "aria-live": "polite" });
    this.input = el("textarea", { rows: "1", maxlength: String(LONGEST), "aria-label": say("write"), placeholder: say("write"), enterkeyhint: "send",
      oninput: () => this.#typed(), onkeydown: (event) => this.#keyed(event) });
    this.send = el("button.send", { "aria-label": say("send"), disabled: true, onclick: () => this.#sendTyped() }, icon(STROKES.send));
    this.person = el("button.link.person", { onclick: acts.person }, icon(STROKES.person), say("person"));
    this.anew = tool("anew", "anew", acts.anew);
    this.anew.hidden = true;
    this.panel = el("section.panel", { role: "dialog", "aria-label": say("title"), tabindex: "-1", hidden: true, onkeydown: (event) => this.#escaped(event) },
      el("header", {}, this.face, el("div.titles", {}, this.title, this.who), this.anew, tool("close", "close", acts.close)),
      this.banner, log, this.aloud,
      el("div.composer", {}, el("div.box", {}, this.input, this.send), el("div.foot", {}, this.person)));
    addEventListener("online", () => this.#showBanner());
    addEventListener("offline", () => this.#showBanner());
    visualViewport?.addEventListener("resize", () => this.fit());
    visualViewport?.addEventListener("scroll", () => this.fit());
  }

  name(title) {
    this.title.textContent = title || this.#say("title");
    this.panel.setAttribute("aria-label", this.title.textContent);
  }

  /** Where the focus goes when what had it is about to vanish; on a phone the keyboard would cover what there is to read. */
  settle() {
    (matchMedia("(pointer: coarse)").matches ? this.panel : this.input).focus({ preventScroll: true });
  }

  /** The window on a phone ends where the keyboard begins. */
  fit() {
    const { panel } = this;
    const view = PHONE.matches && visualViewport;
    panel.style.height = view ? `${view.height}px` : "";
    panel.style.top = view ? `${view.offsetTop}px` : "";
    panel.toggleAttribute("aria-modal", false);
    if (view) panel.setAttribute("aria-modal", "true");
  }

  /** Whether there is a connection, and if not, which text says so. */
  connected(isConnected, problem) {
    this.#isCut = !isConnected && problem;
    this.#showBanner();
  }

  refuse() {
    this.#isRefused = this.input.disabled = this.person.disabled = true;
    this.#showBanner();
  }

  announce(text, isShown = false) {
    this.aloud.replaceChildren(el("p", {}, text));
    if (!isShown) return;
    this.banner.textContent = text;
    this.banner.hidden = false;
    setTimeout(() => this.#showBanner(), 5_000);
  }

  #showBanner() {
    const key = this.#isRefused ? "not_allowed" : navigator.onLine ? this.#isCut : "offline";
    this.banner.textContent = key ? this.#say(key) : "";
    this.banner.hidden = !key;
  }

  #typed() {
    const { input, send } = this;
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight, HIGHEST)}px`;
    send.disabled = !input.value.trim();
    if (input.value) this.#acts.typed();
  }

  #keyed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return; // 229: an input method's
    event.preventDefault();
    this.#sendTyped();
  }

  #sendTyped() {
    const { input } = this;
    const text = input.value.trim();
    if (!text || input.disabled) return;
    input.value = "";
    this.#typed();
    this.#acts.send(text);
    input.focus();
  }

  #escaped(event) {
    if (event.key === "Escape" && !event.isComposing) {
      event.stopPropagation();
      this.#acts.close();
    } else if (event.key === "Tab" && PHONE.matches) { // there, the chat covers the page
      const all = [...this.panel.querySelectorAll("button, textarea, a[href], [tabindex='0']")].filter((each) => !each.disabled && each.getClientRects().length);
      const [from, to] = event.shiftKey ? [all[0], all.at(-1)] : [all.at(-1), all[0]];
      const active = this.panel.getRootNode().activeElement;
      if (active !== from && active !== this.panel) return;
      event.preventDefault();
      to.focus();
    }
  }
}
