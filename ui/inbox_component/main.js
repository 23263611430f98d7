// The inbox in its frame: takes its arguments from the page, joins the panes, and draws what has changed.
// Arguments: api (address), token, account {id, name, groups} or null, language.

import { Api } from "./api.js";
import { Composer } from "./composer.js";
import { drawDetails } from "./details.js";
import { showPage } from "./dialogs.js";
import { make } from "./dom.js";
import { Inbox } from "./inbox.js";
import { drawList } from "./list.js";
import { listen } from "./streamlit.js";
import { drawThread, drawTyping } from "./thread.js";
import { say, since, speak } from "./words.js";

const CLOCK_MS = 5_000;
let running = null; // {key, inbox}

function start(given) {
  speak(given.language);
  const frame = make("div.frame");
  const panes = {
    list: make("nav.list", { "aria-label": say("inbox") }),
    thread: make("main.thread"),
    composer: make("footer.composer", { hidden: true }),
    details: make("aside.details", { "aria-label": say("details"), tabindex: "-1" }),
    problem: make("p.problem", { role: "alert", hidden: true }),
  };
  const dirty = new Set();
  const draw = {
    list: () => drawList(panes.list, inbox),
    thread: () => drawThread(panes.thread, inbox, { openPage: (each) => showPage(inbox, each), showDetails: () => toggle(true) }),
    details: () => drawDetails(panes.details, inbox, { close: () => toggle(false) }),
    typing: () => drawTyping(panes.thread, inbox),
    composer: () => composer.draw(),
    problem: () => {
      panes.problem.hidden = !inbox.problem;
      panes.problem.textContent = inbox.problem;
    },
  };
  const changed = (part) => {
    if (!dirty.size) requestAnimationFrame(drawDirty);
    dirty.add(part);
  };
  const drawDirty = () => {
    const parts = [...dirty];
    dirty.clear();
    frame.classList.toggle("has-chosen", inbox.chosen !== null);
    if (inbox.chosen === null) frame.classList.remove("with-details");
    for (const part of [...parts, "problem"]) draw[part]();
  };
  const toggle = (isOpen) => {
    frame.classList.toggle("with-details", isOpen);
    (isOpen ? panes.details : panes.thread).querySelector(isOpen ? ".to-thread" : ".to-details")?.focus();
  };
  const inbox = new Inbox(new Api(given.api, given.token), given.account, changed);
  const composer = new Composer(panes.composer, inbox);
  frame.append(panes.list, make("section.middle", {}, panes.thread, panes.problem, panes.composer), panes.details);
  frame.addEventListener("keydown", (event) => event.key === "Escape" && toggle(false));
  stayAtEnd(panes.thread);
  document.body.replaceChildren(frame);
  for (const part of Object.keys(draw)) changed(part);
  inbox.start();
  return inbox;
}

/** Whoever reads the last message still does when the room for it grows or shrinks. */
function stayAtEnd(pane) {
  let isAtEnd = true;
  const look = ({ target }) => (isAtEnd = target.scrollHeight - target.scrollTop - target.clientHeight < 8);
  pane.addEventListener("scroll", look, { capture: true });
  new ResizeObserver(() => {
    const log = pane.querySelector(".log");
    if (log && isAtEnd) log.scrollTop = log.scrollHeight;
  }).observe(pane);
}

function tick() {
  for (const each of document.querySelectorAll("time[data-since]")) each.textContent = since(each.dataset.since);
}

listen((given, theme) => {
  document.documentElement.dataset.theme = theme.base === "dark" ? "dark" : "light";
  const key = JSON.stringify([given.api, given.token, given.account, given.language]);
  if (running?.key === key) return;
  const chosen = running?.inbox.chosen ?? null;
  running?.inbox.stop();
  running = { key, inbox: start(given) };
  if (chosen) running.inbox.open(chosen);
});
setInterval(tick, CLOCK_MS);
