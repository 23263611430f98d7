// What is asked in a dialog: whom to transfer to, the last words, and the page that a source is on.

import { make, picture } from "./dom.js";
import { say } from "./words.js";

/** Opens a dialog of these elements; it is gone once closed. */
function open(title, ...content) {
  const close = make("button.icon", { type: "button", "aria-label": say("close"), click: () => dialog.close() }, picture("close"));
  const dialog = make("dialog", { "aria-label": title, close: () => dialog.remove() }, make("header", {}, make("h2", {}, title), close), ...content);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

function form(title, label, act, ...fields) {
  const submit = async (event) => {
    event.preventDefault();
    const data = new FormData(event.target);
    dialog.close();
    await act(data);
  };
  const buttons = make(
    "div.row",
    {},
    make("span.push"),
    make("button.quiet", { type: "button", click: () => dialog.close() }, say("cancel")),
    make("button.main", { type: "submit" }, label),
  );
  const dialog = open(title, make("form.ask", { submit }, ...fields, buttons));
  dialog.querySelector("textarea, select, input")?.focus();
}

function field(label, input) {
  return make("label.field", {}, make("span", {}, label), input);
}

/** Resolves, or hands back to the assistant; `what` is resolve or return. */
export function askEnding(inbox, handOff, what) {
  const words = make("textarea", { name: "text", rows: "3", maxlength: "4000" });
  const keep = make("label.keep", {}, make("input", { type: "checkbox", name: "keep", checked: true }), say("keep_answers"));
  const act = (data) => {
    const text = data.get("text").trim();
    return what === "resolve" ? inbox.resolve(handOff, text, data.has("keep")) : inbox.giveBack(handOff, text);
  };
  form(say(what), say(what), act, field(say("last_words"), words), what === "resolve" && keep);
}

/** To an agent who is there, or to a group. */
export function askTransfer(inbox, handOff) {
  const others = inbox.agents.filter((each) => each.id !== inbox.account.id && each.status === "online");
  const groups = [...new Set(["general", handOff.skill_group, ...inbox.agents.flatMap((each) => each.groups)])];
  const choices = [
    ...others.map((each) => make("option", { value: `agent ${each.id}` }, each.name)),
    ...groups.map((each) => make("option", { value: `group ${each}` }, say("a_group", { name: each }))),
    make("option", { value: "other" }, say("other_group")),
  ];
  const name = field(say("group_name"), make("input", { name: "group", pattern: "[a-z][a-z0-9_]{0,59}", maxlength: "60" }));
  const chosen = make("select", {
    name: "to",
    change: () => {
      name.hidden = chosen.value !== "other";
      name.querySelector("input").required = !name.hidden;
    },
  }, choices);
  name.hidden = chosen.value !== "other";
  const note = make("textarea", { name: "note", rows: "3", maxlength: "4000" });
  const act = (data) => {
    const [kind, ...rest] = data.get("to").split(" ");
    const to = kind === "agent" ? { agent_id: rest.join(" ") } : { skill_group: kind === "other" ? data.get("group") : rest.join(" ") };
    return inbox.transfer(handOff, to, data.get("note"));
  };
  form(say("transfer"), say("transfer"), act, field(say("transfer_to"), chosen), name, field(say("note_for"), note));
}

/** Shows the page that a citation is on, with its quote. */
export async function showPage(inbox, citation) {
  const place = make("div.page-picture", { "aria-busy": "true" });
  const dialog = open(citation.title, make("blockquote", {}, citation.quote), place);
  dialog.classList.add("is-page");
  const picture = await inbox.api.blob(`/api/citations/${citation.id}/page.png`).catch((error) => error);
  place.removeAttribute("aria-busy");
  if (picture instanceof Error) {
    place.append(make("p.soft", {}, picture.message || say("unreachable")));
    return;
  }
  const address = URL.createObjectURL(picture);
  dialog.addEventListener("close", () => URL.revokeObjectURL(address));
  place.append(make("img", { src: address, alt: say("page_of", { title: citation.title }) }));
}
