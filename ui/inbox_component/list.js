// The left pane: presence, the three boxes with their counts, and the hand-offs of one.

import { make, redraw } from "./dom.js";
import { inShort } from "./said.js";
import { called, say, since } from "./words.js";

const BOXES = ["queue", "mine", "all"];

/** Draws the pane again; the list keeps where it was scrolled to. */
export function drawList(pane, inbox) {
  const scrolled = pane.querySelector(".items")?.scrollTop ?? 0;
  redraw(pane, head(inbox), tabs(inbox), items(inbox));
  pane.querySelector(".items").scrollTop = scrolled;
}

function head(inbox) {
  const there = inbox.agents.filter((each) => each.status === "online");
  const isOnline = inbox.presence === "online";
  return make(
    "header.list-head",
    {},
    make("h1", {}, say("inbox")),
    make("span.there", { title: there.map((each) => each.name).join(", ") }, say("agents_there", { count: there.length })),
    inbox.account &&
      make(
        "button.presence",
        {
          type: "button",
          role: "switch",
          "aria-checked": String(isOnline),
          "aria-label": say("you_are"),
          "data-key": "presence",
          click: () => inbox.setPresence(isOnline ? "away" : "online"),
        },
        make("i", {}),
        say(inbox.presence),
      ),
    !inbox.isLive && make("p.lost", { role: "status" }, say("reconnecting")),
  );
}

function tabs(inbox) {
  const tab = (box) => {
    const found = inbox.inBox(box);
    const isNew = found.some((each) => inbox.isUnread(each));
    return make(
      "button.tab",
      {
        type: "button",
        role: "tab",
        id: `tab-${box}`,
        "data-key": `tab-${box}`,
        "aria-selected": String(inbox.box === box),
        "aria-controls": "items",
        tabindex: inbox.box === box ? "0" : "-1",
        click: () => show(inbox, box),
      },
      say(box),
      box !== "all" && make(`span.count${isNew ? ".is-new" : ""}`, {}, String(found.length)),
    );
  };
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = BOXES[(BOXES.indexOf(inbox.box) + step + BOXES.length) % BOXES.length];
    show(inbox, next);
    document.getElementById(`tab-${next}`).focus();
  };
  return make("div.tabs", { role: "tablist", "aria-label": say("inbox"), keydown: move }, BOXES.map(tab));
}

function show(inbox, box) {
  inbox.box = box;
  inbox.changed("list");
}

function items(inbox) {
  const found = inbox.inBox(inbox.box);
  const hasMore = inbox.box === "all" && inbox.cursor;
  return make(
    "div.items",
    { id: "items", role: "tabpanel", "aria-labelledby": `tab-${inbox.box}`, keydown: walk },
    found.map((each) => item(inbox, each)),
    !found.length &&
      make("div.nothing", {}, make("b", {}, say(`nothing_${inbox.box}`)), say(`nothing_${inbox.box}_more`)),
    hasMore && make("button.quiet.wide", { type: "button", click: () => inbox.readMore() }, say("more")),
  );
}

function item(inbox, handOff) {
  const { last_message: last, waiting_since: waiting } = handOff;
  const isUnread = inbox.isUnread(handOff);
  const isOpen = ["queued", "claimed"].includes(handOff.status);
  return make(
    `button.item${isUnread ? ".is-unread" : ""}`,
    {
      type: "button",
      "data-key": handOff.id,
      "aria-current": handOff.conversation_id === inbox.chosen ? "true" : null,
      click: () => inbox.open(handOff.conversation_id),
    },
    make(
      "span.item-head",
      {},
      make("b", {}, nameOf(handOff.customer)),
      isUnread && make("span.dot", { title: say("unread") }, make("span.unseen", {}, say("unread"))),
      isOpen && (waiting || handOff.status === "queued")
        ? make("time.ago", { "data-since": waiting ?? handOff.created_at, title: say("waiting", { time: "" }) }, since(waiting ?? handOff.created_at))
        : make("span.ago", {}, say(`status_${handOff.status}`)),
    ),
    make("span.last", {}, lastSaid(handOff)),
    make(
      "span.tags",
      {},
      make(`span.tag.why-${handOff.reason}`, {}, called("reason", handOff.reason)),
      make("span.tag", {}, handOff.skill_group),
      handOff.agent && inbox.box === "all" && make("span.tag.who", {}, handOff.agent.name),
      handOff.rating !== null && make("span.tag.stars", {}, "★".repeat(handOff.rating)),
    ),
  );
}

/** The last message in a few words, and whose it is where it is not the customer's. */
function lastSaid({ last_message: last, summary }) {
  if (!last) return inShort(summary);
  return last.role === "customer" ? last.text : `${say(last.role)}: ${inShort(last.text)}`;
}

/** Up and down go from one to the next. */
function walk(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const all = [...event.currentTarget.querySelectorAll(".item")];
  const next = all[all.indexOf(document.activeElement) + step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}

/** Who the site says the customer is. */
export function nameOf(customer) {
  return customer?.name || customer?.email || say("visitor");
}
