// The right pane: why the conversation is here, what it has come to, who the customer is, and agents' notes.

import { make, picture, redraw } from "./dom.js";
import { inShort } from "./said.js";
import { plain, values } from "./thread.js";
import { called, clock, say } from "./words.js";

const BEGINNING = 70;

export function drawDetails(pane, inbox, { close }) {
  const scrolled = pane.scrollTop;
  const conversation = inbox.conversation;
  if (!conversation) return redraw(pane);
  redraw(
    pane,
    make("button.icon.to-thread", { type: "button", "aria-label": say("close"), "data-key": "to-thread", click: close }, picture("close")),
    reason(inbox.handOff),
    section("who", pairs({ ...conversation.customer })),
    section("state", state(conversation)),
    section("passages", passages(inbox.handOff)),
    section("notes", notes(conversation.notes)),
    section("history", history(conversation.hand_offs)),
  );
  pane.scrollTop = scrolled;
}

function section(name, content) {
  if (!content) return null;
  return make(`section.part.part-${name}`, {}, make("h3", {}, say(name)), content);
}

function reason(handOff) {
  if (!handOff) return null;
  return section("why_here", [
    make(`span.tag.why-${handOff.reason}`, {}, called("reason", handOff.reason)),
    handOff.summary && make("p.summary", {}, inShort(handOff.summary)),
  ]);
}

function state(conversation) {
  const { state: known, flow } = conversation;
  return pairs({
    [say("knowledge_base")]: conversation.knowledge_base_name,
    [say("product")]: (known.products?.length ? known.products : [known.context?.product]).filter(Boolean).join(", "),
    [say("topic")]: known.topic,
    [say("open_question")]: known.open_question?.text,
    [say("searched_for")]: known.searched_for === known.topic ? "" : known.searched_for,
    [say("cited")]: known.cited?.length ? say("cited_count", { count: known.cited.length }) : "",
    [say("flow")]: flow && [flow.name, flow.step && say("step", { name: flow.step }), values(flow.slots)].filter(Boolean).join(" · "),
    [say("context")]: known.context?.page?.replace(/^https?:\/\//, ""),
  });
}

/** Names and values, where there are any. */
function pairs(mapping) {
  const told = Object.entries(mapping).filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!told.length) return null;
  return make("dl", {}, told.map(([name, value]) => [make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, plain(value))]));
}

function passages(handOff) {
  if (!handOff?.passages.length) return null;
  const passage = (each) => {
    const page = each.page_label ? say("page", { page: each.page_label }) : "";
    const where = [each.title, page].filter(Boolean).join(" · ");
    const begins = inShort(each.text ?? "").split("\n", 1)[0];
    const shown = begins.length > BEGINNING ? `${begins.slice(0, BEGINNING).trimEnd()}…` : begins;
    return make("details.passage", {}, make("summary", {}, shown || where), make("p", {}, make("b", {}, where), "\n", each.text ?? ""));
  };
  return handOff.passages.map(passage);
}

function notes(all) {
  if (!all.length) return make("p.soft", {}, say("no_notes"));
  const note = (each) =>
    make("article.note", {}, make("header", {}, make("b", {}, each.author), make("time", {}, clock(each.created_at))), make("p", {}, each.text));
  return all.map(note);
}

function history(all) {
  const line = (each) => {
    const rated = each.rating === null ? "" : say("rated", { stars: each.rating });
    const what = [say(`status_${each.status}`), each.skill_group, each.agent?.name, rated].filter(Boolean).join(" · ");
    const comment = each.rating_comment && make("q.comment", {}, each.rating_comment);
    return make("li", {}, make("time", {}, clock(each.created_at)), ` ${what}`, comment);
  };
  return all.length > 0 ? make("ul.history", {}, all.map(line)) : null;
}
