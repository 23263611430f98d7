/* How the conversation was: one to five stars, and a word if one likes. */
import { addStyle, el, icon } from "./dom.js";

const STYLE = `
.rating { margin-top: 18px; padding: 14px; border: 1px solid var(--line); border-radius: 14px; text-align: center; }
.rating legend { float: left; width: 100%; padding: 0; font-weight: 600; font-size: 14px; }
.stars { clear: both; display: flex; justify-content: center; padding-top: 6px; }
.star { padding: 5px; color: var(--soft); cursor: pointer; position: relative; border-radius: 9px; }
.star input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer; }
.star:has(:focus-visible) { outline: 2px solid var(--accent-text); }
.star .icon { display: block; width: 27px; height: 27px; }
.star.is-on { color: #d99a1c; } .star.is-on .icon { fill: currentColor; }
.more { display: grid; gap: 8px; margin-top: 8px; }
.primary { justify-self: center; padding: 7px 22px; border: 0; border-radius: 18px; background: var(--accent); color: var(--on-accent); font-weight: 600; font-size: 14px; cursor: pointer; }
.primary:disabled { opacity: .5; }
.rating textarea { width: 100%; padding: 8px 11px; border: 1px solid var(--line); border-radius: 10px; font-size: 14px; }
`;

const STROKES = {
  star: "M12 3.600l2.600 5.300 5.800.8-4.200 4.100 1 5.800-5.200-2.700-5.200 2.700 1-5.800L3.600 9.700l5.800-.8z",
};
const MOST = 5;

/** A form; `rate(stars, comment)` keeps it, and throws when that fails; `dismiss()` is for whoever does not want to. */
export function ratingCard(root, say, { rate, dismiss }) {
  addStyle(root, STYLE);
  const stars = [...Array(MOST).keys()].map((place) => {
    const input = el("input", { type: "radio", name: "stars", value: String(place + 1), "aria-label": say("stars", { stars: place + 1 }), onchange: paint });
    return el("label.star", {}, input, icon(STROKES.star));
  });
  const comment = el("textarea", { rows: "2", maxlength: "2000", "aria-label": say("comment"), placeholder: say("comment") });
  const send = el("button.primary", { disabled: true, onclick: keep }, say("send_rating"));
  const problem = el("p.problem", { role: "alert", hidden: true });
  const more = el("div.more", { hidden: true }, comment, send, problem);
  const not = el("button.link", { onclick: () => { card.remove(); dismiss(); } }, say("not_now"));
  const card = el("fieldset.rating", {}, el("legend", {}, say("rate")), el("div.stars", {}, stars), more, not);
  const chosen = () => stars.findIndex((each) => each.firstChild.checked) + 1;

  function paint() {
    stars.forEach((each, place) => each.classList.toggle("is-on", place < chosen()));
    more.hidden = false;
    send.disabled = false;
    card.scrollIntoView({ block: "nearest" });
  }

  async function keep() {
    send.disabled = true;
    try {
      await rate(chosen(), comment.value.trim());
      card.replaceWith(el("p.system", {}, say("rated")));
    } catch {
      problem.textContent = say("reconnecting");
      problem.hidden = send.disabled = false;
    }
  }
  return card;
}
