// The middle pane's messages: who said what when, with sources, and who is writing.

import { make, picture, redraw } from "./dom.js";
import { nameOf } from "./list.js";
import { withMarkers } from "./said.js";
import { called, clock, say, since } from "./words.js";

const NEAR_PX = 80;

/** Draws the conversation again. Whoever has scrolled up to read stays there. */
export function drawThread(pane, inbox, { openPage, showDetails }) {
  const log = pane.querySelector(".log");
  const isNew = pane.dataset.conversation !== inbox.chosen;
  const isAtEnd = !log || isNew || log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
  const scrolled = log?.scrollTop ?? 0;
  pane.dataset.conversation = inbox.chosen ?? "";
  if (inbox.chosen === null) {
    redraw(pane, make("div.hello", {}, make("h2", {}, say("choose")), make("p", {}, say("choose_more"))));
    return;
  }
  const said = inbox.conversation?.messages ?? [];
  const fresh = make(
    "div.log",
    { role: "log", "aria-live": "polite", "aria-label": say("state"), tabindex: "0", "data-key": "log" },
    said.map((message) => messageOf(inbox, message, openPage)),
    make("div.typing-place"),
  );
  redraw(pane, head(inbox, showDetails), fresh);
  drawTyping(pane, inbox);
  fresh.scrollTop = isAtEnd ? fresh.scrollHeight : scrolled;
}

export function drawTyping(pane, inbox) {
  const place = pane.querySelector(".typing-place");
  if (!place) return;
  const dots = () => make("span.dots", { "aria-hidden": "true" }, make("i"), make("i"), make("i"));
  place.replaceChildren(
    ...(inbox.typing ? [make("div.typing", {}, dots(), say("is_typing", { name: inbox.typing.name }))] : []),
  );
  const log = pane.querySelector(".log");
  if (inbox.typing && log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX) log.scrollTop = log.scrollHeight;
}

function head(inbox, showDetails) {
  const handOff = inbox.handOff;
  const waiting = handOff?.status === "claimed" ? handOff.waiting_since : null;
  return make(
    "header.thread-head",
    {},
    make(
      "button.icon.to-list",
      { type: "button", "aria-label": say("back_to_list"), "data-key": "to-list", click: () => inbox.open(null) },
      picture("left"),
    ),
    make(
      "div.thread-title",
      {},
      make("h2", {}, nameOf(inbox.conversation?.customer ?? handOff?.customer)),
      make("span", {}, [handOff?.knowledge_base_name, handOff?.skill_group].filter(Boolean).join(" · ")),
    ),
    handOff && make(`span.tag.status-${handOff.status}`, {}, say(`status_${handOff.status}`)),
    waiting && make("time.ago", { "data-since": waiting, title: say("waits", { time: since(waiting) }) }, since(waiting)),
    make(
      "button.icon.to-details",
      { type: "button", "aria-label": say("details"), "data-key": "to-details", click: showDetails },
      picture("info"),
    ),
  );
}

function messageOf(inbox, message, openPage) {
  const names = {
    customer: nameOf(inbox.conversation.customer),
    agent: message.author || say("agent"),
    assistant: say("assistant"),
    system: say("system"),
  };
  const known = new Map(message.citations.map((each) => [each.marker, each]));
  const isPlain = message.role === "customer";
  const text = isPlain ? [message.text] : withMarkers(message.text, known, (number) => openPage(known.get(number)));
  const isGrowing = message.role === "assistant" && message.status === "answering";
  const status = message.status === "failed" ? message.error?.message || say("failed") : null;
  return make(
    `article.message.from-${message.role}`,
    { "aria-label": names[message.role], "data-message": message.id },
    make("header", {}, make("b", {}, names[message.role]), make("time", { datetime: message.created_at }, clock(message.created_at))),
    make(
      `div.bubble${message.kind === "not_in_manuals" ? ".is-unsure" : ""}`,
      {},
      text.length && message.text ? text : isGrowing && say("answering"),
      status && make("p.failed", {}, status),
    ),
    message.choices.length > 0 && make("div.chips", {}, message.choices.map((each) => make("span.tag", {}, each.label))),
    message.products.length > 0 && make("ul.products", {}, message.products.map(product)),
    message.citations.length > 0 && make("div.chips", {}, message.citations.map((each) => source(each, openPage))),
    trace(message),
  );
}

function source(citation, openPage) {
  return make(
    "button.source",
    { type: "button", title: citation.quote, "data-key": `source-${citation.id}`, click: () => openPage(citation) },
    make("span.marker", {}, String(citation.marker)),
    whereOf(citation),
  );
}

/** Where a citation is, in words: its section and page. */
export function whereOf(citation) {
  const page = citation.page_label ?? citation.spans?.find((each) => each.page)?.page;
  const headings = (citation.heading_path ?? []).filter((each) => !each.includes(" | ")); // such name a table's columns
  return [headings.at(-1) || citation.title, page && say("page", { page })].filter(Boolean).join(" · ");
}

function product(each) {
  const price = each.price === null || each.price === undefined ? "" : `${each.price} ${each.currency ?? ""}`;
  return make("li", {}, make("b", {}, each.name ?? each.sku ?? ""), make("span", {}, price));
}

/** What agents alone see of an answer: who was asked to handle the message, and what that came to. */
function trace(message) {
  const lines = [];
  const { routing, flow, decisions } = message;
  if (routing) {
    const sure = typeof routing.confidence === "number" ? `${Math.round(routing.confidence * 100)}%` : "";
    const what = [called("handler", routing.handler), routing.intent?.replaceAll("_", " "), sure];
    lines.push([say("routing"), what.filter(Boolean).join(" · "), called("by", routing.reason)]);
  }
  if (flow) lines.push([say("flow"), [flow.name, flow.step].filter(Boolean).map((name) => name.replaceAll("_", " ")).join(" · "), values(flow.slots)]);
  for (const each of decisions ?? []) {
    const score = typeof each.score === "number" ? each.score.toFixed(2) : null;
    lines.push([say("decision"), [each.table, plain(each.result), score].filter(Boolean).join(" · "), (each.fired ?? []).map(plain).join(", ")]);
  }
  if (!lines.length) return null;
  const line = ([name, what, more]) => make("p", {}, make("b", {}, name), ` ${what}`, more && make("span", {}, ` — ${more}`));
  return make("details.trace", {}, make("summary", {}, lines.map(([, what]) => what).join("  ›  ")), lines.map(line));
}

/** A mapping as "name: value" pairs. */
export function values(mapping) {
  return Object.entries(mapping ?? {})
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => `${name.replaceAll("_", " ")}: ${plain(value)}`)
    .join(", ");
}

/** A value as text. */
export function plain(value) {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? "");
}

