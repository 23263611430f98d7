/* The cited page over everything else, drawn on a canvas, so that no page needs to allow pictures from elsewhere. */
import { addStyle, el, icon } from "./dom.js";

const STYLE = `
.overlay { width: min(880px, 100vw - 48px); height: calc(100vh - 48px); max-width: none; max-height: none; margin: auto; padding: 0; border: 0; border-radius: 18px;
  background: var(--panel); color: var(--ink); box-shadow: var(--shade); overflow: hidden; }
.overlay[open] { display: flex; flex-direction: column; animation: rise .2s ease-out; }
.overlay::backdrop { background: rgb(12 22 20 / 58%); }
.bar { display: flex; align-items: center; gap: 3px; padding: 11px 12px 11px 20px; border-bottom: 1px solid var(--line); }
.bar b { display: block; font-size: 15px; font-weight: 650; line-height: 1.35; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.path { display: block; font-size: 12.5px; line-height: 1.4; color: var(--soft); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.sheet { flex: 1; min-height: 0; overflow: auto; padding: 18px; background: var(--paper); text-align: center; overscroll-behavior: contain; }
.sheet:focus-visible { outline-offset: -3px; }
.drawing { padding: 15vh 16px; color: var(--soft); font-size: 14px; }
canvas { display: block; width: 100%; max-width: 760px; height: auto; margin: 0 auto; border-radius: 6px; background: #fff; box-shadow: 0 4px 22px rgb(15 30 28 / 16%); cursor: zoom-in; }
.is-large canvas { width: 1240px; max-width: none; cursor: zoom-out; }
blockquote { max-height: 22vh; overflow-y: auto; padding: 11px 20px 13px; border-top: 1px solid var(--line); font-size: 13px; line-height: 1.5; overflow-wrap: anywhere; white-space: pre-line; }
blockquote b { display: block; font-size: 11.5px; font-weight: 650; color: var(--soft); }
@media (max-width: 520px) { .overlay { width: 100vw; height: 100dvh; border-radius: 0; } .sheet { padding: 10px; } }
`;

const STROKES = {
  close: "M6 6l12 12M18 6L6 18",
  before: "M14.500 6l-6 6 6 6",
  next: "M9.500 6l6 6-6 6",
  zoom: "M10.500 17a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13zM15.300 15.300L20 20M10.500 8v5M8 10.500h5",
};
/** Opens a citation's page. `picture(page)` gives an ImageBitmap; the focus returns to where it was. */
export function showPage({ root, say, citation, picture }) {
  const pages = citation.pages.length ? citation.pages : [null];
  const label = (page) => (page === pages[0] && citation.page_label ? citation.page_label : page);
  const canvas = el("canvas", { role: "img" });
  const note = el("p.drawing", { role: "status" }, say("drawing"));
  const where = el("span.where");
  const sheet = el("div.sheet", { tabindex: "0", role: "group", "aria-label": citation.title }, note, canvas);
  const before = el("button.tool", { "aria-label": say("before"), onclick: () => show(at - 1) }, icon(STROKES.before));
  const next = el("button.tool", { "aria-label": say("next"), onclick: () => show(at + 1) }, icon(STROKES.next));
  const zoom = el("button.tool", { "aria-label": say("zoom"), "aria-pressed": "false", onclick: toggle }, icon(STROKES.zoom));
  const close = el("button.tool", { "aria-label": say("close"), onclick: () => dialog.close() }, icon(STROKES.close));
  const quote = el("blockquote", {}, el("b", {}, say("quote")), citation.quote);
  const heading = citation.heading_path.filter((each) => !each.includes(" | ")).join(" › ");
  const dialog = el("dialog.overlay", { "aria-label": citation.title },
    el("div.bar", {}, el("div.titles", {}, el("b", {}, citation.title), el("span.path", {}, where, heading)),
      pages.length > 1 && before, pages.length > 1 && next, zoom, close),
    sheet, quote);
  let at = 0;
  let bitmap = null;

  async function show(number) {
    at = Math.max(0, Math.min(pages.length - 1, number));
    before.disabled = at === 0;
    next.disabled = at === pages.length - 1;
    const page = label(pages[at]);
    where.textContent = page === null ? "" : `${say("page_short", { page })} · `;
    note.hidden = false;
    note.textContent = say("drawing");
    canvas.hidden = true;
    const wanted = at;
    try {
      const drawn = await picture(pages[at]);
      if (wanted !== at || !dialog.isConnected) return drawn.close();
      bitmap?.close();
      bitmap = drawn;
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      const named = page === null ? citation.title : say("page_of", { page, title: citation.title });
      canvas.setAttribute("aria-label", `${named}. ${say("quote")}: ${citation.quote}`);
      canvas.hidden = false;
      note.hidden = true;
    } catch {
      if (wanted === at) note.textContent = say("no_page");
    }
  }

  function toggle() {
    zoom.setAttribute("aria-pressed", String(sheet.classList.toggle("is-large")));
  }

  canvas.addEventListener("click", toggle);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Escape") event.stopPropagation(); // it closes the page, not the chat behind it
    if (event.key === "PageDown" && event.ctrlKey) show(at + 1);
    if (event.key === "PageUp" && event.ctrlKey) show(at - 1);
  });
  dialog.addEventListener("close", () => {
    bitmap?.close();
    dialog.remove();
  });
  addStyle(root, STYLE);
  root.append(dialog);
  dialog.showModal();
  close.focus();
  show(0);
}
