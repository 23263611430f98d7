// Elements. Owns the one way in which the inbox makes DOM: text goes in as text, never as HTML.

/** An element. `properties` are attributes, or listeners when they are functions; null and false leave one out. */
export function make(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else if (key === "value" || key === "checked") element[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replaces what stands in a container; who had the focus keeps it, known by its `data-key`. */
export function redraw(container, ...children) {
  const focused = container.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  container.replaceChildren(...children.flat(2).filter(Boolean));
  if (focused) container.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

const PICTURES = {
  send: "M3 11.5 21 3l-6.5 18-3.6-7.4zM11 13.6 21 3",
  claim: "M12 3v12m0 0 4.500-4.500M12 15l-4.500-4.500M4 20h16",
  spark: "M12 3l2 6.500L20.500 12 14 14l-2 7-2-7-6.500-2L10 9.500z",
  check: "M4 12.500l5.500 5.500L20 7",
  move: "M4 8h14m-4-4 4 4-4 4M20 16H6m4 4-4-4 4-4",
  back: "M9 7 4 12l5 5M4 12h10a6 6 0 0 1 6 6",
  note: "M5 4h14v11l-5 5H5zM14 20v-5h5",
  info: "M12 8h.01M12 11v5.500M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z",
  left: "M15 5l-7 7 7 7",
  close: "M6 6l12 12M18 6 6 18",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.500 20.500a7.500 7.500 0 0 1 15 0",
};

/** A line drawing, beside a label that says the same. */
export function picture(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "picture", "aria-hidden": "true" })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PICTURES[name]);
  svg.append(path);
  return svg;
}
