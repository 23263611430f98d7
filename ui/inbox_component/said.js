// A message's text as nodes: its `[1]` as chips, emphasis, and the rows of a table. All else stays as it was written.
// Of Markdown it takes what answers use, as the widget does; what a customer writes is not looked at.

import { make } from "./dom.js";

const INLINE = /\[(\d{1,2})\]|\*\*(?=\S)([^*\n]+)(?<=\S)\*\*|(?<![\w*])\*(?=\S)([^*\n]+)(?<=\S)\*(?![\w*])/g;
const EMPHASIS = /(?<![\w*])\*{1,2}(?=\S)([^*\n]+)(?<=\S)\*{1,2}(?![\w*])/g;
const CELLS = " | ";

/** Nodes of a text. `onMarker(number)` is called for markers that `known` has; others stay text. */
export function withMarkers(text, known, onMarker) {
  const nodes = [];
  let rows = null;
  for (const line of text.split("\n")) {
    if (isRow(line)) {
      if (!rows) nodes.push(make("div.rows", {}, (rows = make("table"))));
      rows.append(make("tr", {}, line.split(CELLS).map((cell) => make("td", {}, inline(cell.trim(), known, onMarker)))));
    } else if (!rows || line.trim()) {
      if (nodes.length && !rows) nodes.push("\n");
      nodes.push(...inline(line, known, onMarker));
      rows = null;
    }
  }
  return nodes;
}

/** The text in one piece, for where there is no room for more than its words. */
export function inShort(text) {
  return text.replace(EMPHASIS, "$1").replace(/\s*\[\d{1,2}\]/g, "").replaceAll(CELLS, " · ");
}

/** A heading may hold a bar as well, but then it is emphasised as a whole. */
const isRow = (line) => line.replace(EMPHASIS, "").includes(CELLS);

function inline(line, known, onMarker) {
  const nodes = [];
  let from = 0;
  for (const found of line.matchAll(INLINE)) {
    const [all, number, strong, emphasis] = found;
    if (number && !known.has(Number(number))) continue;
    nodes.push(line.slice(from, found.index));
    from = found.index + all.length;
    if (number) nodes.push(marker(Number(number), onMarker));
    else nodes.push(strong ? make("strong", {}, strong) : make("em", {}, emphasis));
  }
  nodes.push(line.slice(from));
  return nodes.filter((each) => each !== "");
}

function marker(number, onMarker) {
  if (!onMarker) return make("span.marker", {}, String(number));
  return make("button.marker", { type: "button", click: () => onMarker(number) }, String(number));
}
