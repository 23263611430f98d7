/* A message of others as nodes: who says it, its text with the markers, what one may choose. What stands below is below.js.

   It knows no HTML: whatever stands in a text is text. Of Markdown it takes what answers use: steps, lists, rows of a
   table, emphasis, links, whose text is the address itself, so that one sees where they lead to. */
import { BELOW_STYLE, belowAnswer, source } from "./below.js";
import { el, initial, webAddress } from "./dom.js";
import { thinking } from "./thread.js";

const STEP = /^(?:\d{1,2}[.)、]|[-•·*]|[(（]\d{1,2}[)）]|[①-⑳]|[a-h][.)])\s*/;
const ITEM = /^[-*•]\s+(?=\S)/;
const BELOW_ZERO = /^-\s+\d[\d.,]*\s*(?:[°℃℉%‰…~～–至到-]|\.\.|[VAWK]\b|mm\b|to\b)/;
const HEADING = /^#{1,4}\s+/;
const INLINE = /\[(\d{1,3})\]|\*\*(?=\S)([^*]+)(?<=\S)\*\*|(?<![\w*])\*(?=\S)([^*]+)(?<=\S)\*(?![\w*])|`([^`]+)`|(https?:\/\/[^\s<>"'，。；、！？（）]+)/g;
const CELLS = " | ";

/** `acts`: {open(citation), choose(label), rate(message, rating)}; `isLast`: nothing was said since. */
export const theirs = (message, options) => (message.role === "agent" ? agent(message, options) : assistant(message, options));

function agent(message, { say }) {
  const name = message.author || say("someone");
  return [
    el("div.author", {}, el("span.avatar", { "aria-hidden": "true" }, initial(name)), name),
    el("div.bubble.theirs.text", {}, nodesOf(message.text, () => null)),
  ];
}

function assistant(message, { say, language, acts, isLast }) {
  const isOver = message.status !== "answering" && message.status !== "received";
  const cited = new Map(message.citations.map((each) => [each.marker, each]));
  const marker = (number) => {
    const citation = cited.get(number);
    return citation ? source("marker", citation, say, acts, String(number)) : isOver ? null : el("span.marker", {}, String(number));
  };
  const text = el("div.text", {}, nodesOf(message.text, marker));
  if (message.kind === "uncertain") text.classList.add("is-doubtful");
  if (!isOver && message.text) text.classList.add("is-growing");
  return [
    !isOver && !message.text && thinking(say),
    message.text && text,
    message.status === "failed" && el("p.problem", {}, say("failed")),
    message.status === "stopped" && el("p.problem", {}, say("stopped")),
    ...(isOver ? belowAnswer(message, { say, language, acts }) : []),
    isLast && isOver && message.choices.length > 0 && el("div.choices", {},
      message.choices.map(({ label }) => el("button.choice", { onclick: () => acts.choose(label) }, label))),
  ];
}

/** Nodes of a text. `marker(number)` gives the node of a citation, or null where there is none. */
function nodesOf(text, marker) {
  const inline = (line) => [...pieces(line, marker)];
  const nodes = [];
  let open = null;
  for (const line of text.split(/\r?\n/).map((each) => each.trim()).filter(Boolean)) {
    const cells = /\*[^*]* \| [^*]*\*/.test(line) ? [line] : line.split(CELLS); // a heading may have bars in it
    if (/^[|:\s-]+$/.test(line) && line.includes("--")) continue;
    const kind = cells.length > 1 ? `table${cells.length}` : ITEM.test(line) && !BELOW_ZERO.test(line) ? "ul" : "p";
    if (open?.kind !== kind || kind === "p") {
      open = { kind, node: kind === "p" ? null : kind === "ul" ? el("ul") : el("table") };
      if (open.node) nodes.push(kind === "ul" ? open.node : el("div.scroll", { tabindex: "0" }, open.node));
    }
    if (kind === "ul") open.node.append(el("li", {}, inline(line.replace(ITEM, ""))));
    else if (kind !== "p") open.node.append(el("tr", {}, cells.map((cell) => el("td", {}, inline(cell.replace(/^\||\|$/g, "").trim())))));
    else if (HEADING.test(line)) nodes.push(el("p.head", {}, inline(line.replace(HEADING, ""))));
    else nodes.push(el(STEP.test(line) ? "p.step" : "p", {}, inline(line)));
  }
  return nodes;
}

function* pieces(line, marker) {
  let from = 0;
  for (const found of line.matchAll(INLINE)) {
    if (found.index > from) yield line.slice(from, found.index);
    from = found.index + found[0].length;
    const [all, number, strong, emphasis, code, address] = found;
    if (number) yield marker(Number(number)) ?? "";
    else if (strong) yield el("strong", {}, [...pieces(strong, marker)]);
    else if (emphasis) yield el("em", {}, emphasis);
    else if (code) yield el("code", {}, code);
    else yield* link(address, all);
  }
  if (from < line.length) yield line.slice(from);
}

function* link(address, all) {
  const shown = address.replace(/[.,;:!?)\]]+$/, "");
  const href = webAddress(shown);
  if (!href) yield all;
  else {
    yield el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow ugc" }, shown);
    yield address.slice(shown.length);
  }
}

export const STYLE = `
.bubble.theirs { width: fit-content; border-radius: 5px 17px 17px 17px; background: var(--paper); white-space: normal; }
.author { display: flex; align-items: center; gap: 7px; margin-bottom: 5px; font-size: 12.5px; font-weight: 600; color: var(--soft); }
.avatar { width: 22px; height: 22px; border-radius: 50%; display: grid; place-items: center; background: var(--accent); color: var(--on-accent); font-size: 11px; }
.problem { font-size: 13px; color: var(--bad); }
.text { overflow-wrap: anywhere; }
.text p { margin: 0 0 8px; }
.text > :last-child { margin-bottom: 0; }
.text p.step { padding-left: 1.15em; text-indent: -1.15em; }
.text p.step > * { text-indent: 0; }
.text p.head { font-weight: 650; }
.text ul { margin: 0 0 8px; padding-left: 1.15em; list-style: disc; }
.text li::marker { color: var(--accent-text); }
.scroll { max-width: 100%; overflow-x: auto; margin: 0 0 8px; }
table { border-collapse: collapse; font-size: 14px; }
td { padding: 5px 16px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: normal; min-width: 3.4em; }
code { padding: 1px 5px; border-radius: 5px; background: var(--paper); font: .9em ui-monospace, Menlo, Consolas, monospace; }
a { color: var(--accent-text); text-underline-offset: 2px; }
.is-doubtful > p:first-child { padding: 7px 12px; border-left: 3px solid #dba53b; border-radius: 4px 10px 10px 4px; background: var(--warn); color: var(--on-warn); }
.is-growing > :last-child::after { content: ""; display: inline-block; width: 7px; height: 1em; margin-left: 3px; border-radius: 2px; background: var(--accent-text); opacity: .6; vertical-align: -2px; animation: blink 1s steps(2) infinite; }
@keyframes blink { 50% { opacity: 0; } }
.marker, .number { display: inline-block; min-width: 19px; padding: 0 5px; border: 0; border-radius: 10px; background: var(--tint); color: var(--accent-text);
  font-size: 11.5px; font-weight: 650; line-height: 18px; text-align: center; text-indent: 0; }
.marker { position: relative; margin: 0 2px; vertical-align: 2px; }
button.marker { cursor: pointer; }
button.marker::after { content: ""; position: absolute; inset: -4px -3px; }
button.marker:hover { background: var(--accent); color: var(--on-accent); }
` + BELOW_STYLE;
