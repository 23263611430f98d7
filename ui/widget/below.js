/* What stands below an answer: products, sources, thumbs. */
import { el, icon, webAddress } from "./dom.js";

const STROKES = {
  up: "M7 11v9H4v-9zM7 11l4-7.500c1.600 0 2.600 1.200 2.300 2.800L12.700 10h5.700c1.300 0 2.200 1.200 1.900 2.400l-1.500 6c-.2 1-1 1.600-2 1.600H7",
  down: "M17 13V4h3v9zM17 13l-4 7.500c-1.600 0-2.600-1.200-2.300-2.800l.6-3.700H5.600c-1.300 0-2.200-1.200-1.900-2.400l1.500-6C5.400 4.600 6.200 4 7.200 4H17",
};
const SOURCES_AT_ONCE = 3;
const ATTRIBUTES_SHOWN = 4;

/** `acts`: {open(citation), rate(message, rating)}. */
export function belowAnswer(message, { say, language, acts }) {
  const isAnswer = ["answer", "uncertain", "not_in_manuals"].includes(message.kind) && message.status === "answered";
  return [
    message.products.length > 0 && el("ul.products", {}, message.products.map((each) => product(each, say, language))),
    message.citations.length > 0 && sources(message.citations, say, acts),
    isAnswer && thumbs(message, say, acts),
  ];
}

/** The button that opens a citation's page. */
export function source(look, citation, say, acts, ...children) {
  const page = pageOf(citation) ? say("page", { page: pageOf(citation) }) : "";
  const label = say("source", { marker: citation.marker, title: citation.title, page });
  return el(`button.${look}`, { "aria-label": label, title: label, "aria-haspopup": "dialog", onclick: () => acts.open(citation) }, children);
}

const pageOf = (citation) => citation.page_label || citation.pages[0] || null;

function sources(citations, say, acts) {
  const chips = citations.map((each) => source("chip", each, say, acts, el("span.number", {}, String(each.marker)),
    el("span.name", {}, each.title), pageOf(each) && el("span.at", {}, say("page_short", { page: pageOf(each) }))));
  const list = el("ul.sources", { "aria-label": say("sources") }, chips.map((each, place) => el("li", { hidden: place >= SOURCES_AT_ONCE }, each)));
  if (chips.length > SOURCES_AT_ONCE) {
    const more = el("button.link", { onclick: () => {
      for (const each of list.children) each.hidden = false;
      more.parentNode.remove();
      chips[SOURCES_AT_ONCE].focus();
    } }, say("more_sources", { count: chips.length - SOURCES_AT_ONCE }));
    list.append(el("li", {}, more));
  }
  return list;
}

function product(each, say, language) {
  const address = webAddress(each.url);
  const picture = webAddress(each.image);
  const image = picture && el("img", { src: picture, alt: "", loading: "lazy", referrerpolicy: "no-referrer", onerror: () => image.remove() });
  const isThere = typeof each.stock === "number" ? each.stock > 0 : null;
  const attributes = Object.entries(each.attributes ?? {}).slice(0, ATTRIBUTES_SHOWN);
  const isElsewhere = address && new URL(address).origin !== location.origin;
  return el("li.product", {}, image,
    el("div.about", {},
      el("b", {}, String(each.name ?? each.sku ?? "")),
      attributes.length > 0 && el("span.attributes", {}, attributes.map(([name, value]) => `${name}: ${value}`).join(" · ")),
      el("span.price", {}, price(each, language),
        isThere !== null && el(isThere ? "span.stock" : "span.stock.is-out", {}, say(isThere ? "in_stock" : "no_stock"))),
      address && el("a", { href: address, ...(isElsewhere ? { target: "_blank", rel: "noopener noreferrer" } : {}),
        "aria-label": `${say("look")}: ${each.name ?? ""}` }, say("look"))));
}

function price({ price: amount, currency }, language) {
  if (amount === null || amount === undefined || amount === "") return "";
  try {
    return new Intl.NumberFormat(language, { style: "currency", currency }).format(Number(amount));
  } catch {
    return `${amount} ${currency ?? ""}`.trim();
  }
}

function thumbs(message, say, acts) {
  const thumb = (rating, label) => el("button.thumb", { "aria-label": say(label), title: say(label), "aria-pressed": String(message.rating === rating),
    "data-key": `${rating} ${message.id}`, onclick: () => acts.rate(message, rating) }, icon(STROKES[rating]));
  return el("div.thumbs", {}, thumb("up", "helpful"), thumb("down", "unhelpful"),
    el("span", {}, message.rating ? say("thanks") : ""));
}

export const BELOW_STYLE = `
.sources { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 10px; }
.sources li { min-width: 0; max-width: 100%; }
.chip { display: flex; align-items: center; gap: 7px; max-width: 100%; padding: 4px 12px 4px 5px; border: 1px solid var(--line); border-radius: 18px; background: none;
  color: var(--ink); font-size: 12.5px; line-height: 20px; cursor: pointer; }
.chip:hover { border-color: var(--accent-text); }
.chip .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.chip .at { flex: none; color: var(--soft); }
.thumbs { display: flex; align-items: center; gap: 2px; margin: 6px 0 0 -7px; font-size: 12.5px; color: var(--soft); }
.thumb { width: 32px; height: 30px; padding: 0; border: 0; border-radius: 9px; background: none; color: var(--soft); cursor: pointer; display: grid; place-items: center; }
.thumb .icon { width: 18px; height: 18px; }
.thumb:hover { background: var(--paper); color: var(--ink); }
.thumb[aria-pressed="true"] { color: var(--accent-text); background: var(--tint); }
.products { display: grid; gap: 8px; margin-top: 10px; }
.product { display: flex; gap: 13px; padding: 11px 13px; border: 1px solid var(--line); border-radius: 14px; }
.product img { width: 68px; height: 68px; flex: none; object-fit: contain; border-radius: 9px; background: #fff; }
.product .about { min-width: 0; display: flex; flex-direction: column; gap: 1px; font-size: 13px; overflow-wrap: anywhere; }
.product b { font-size: 14.5px; font-weight: 600; line-height: 1.35; }
.attributes { color: var(--soft); font-size: 12.5px; line-height: 1.4; }
.price { font-weight: 650; font-size: 14px; }
.stock { margin-left: 9px; font-weight: 500; font-size: 12.5px; color: var(--accent-text); } .stock.is-out { color: var(--bad); }
.chip:hover .number { background: var(--accent); color: var(--on-accent); }
`;
