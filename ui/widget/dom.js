/* Nodes, and pictures made of strokes. The only ways in which the widget makes any: text goes in as text. */

/** An element with attributes, listeners (`onclick`) and children; null and false children are left out. */
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  if (tag === "button") node.type = "button";
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return node;
}

/** A drawing of 24 by 24 made of one path, in the colour of the text around it; it says nothing to screen readers. */
export function icon(drawn) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS(svg.namespaceURI, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  path.setAttribute("d", drawn);
  svg.append(path);
  return svg;
}

export const initial = (name) => [...name.trim()][0]?.toUpperCase() ?? "";
export const dots = () => el("span.dots", { "aria-hidden": "true" }, el("i"), el("i"), el("i"));

let failures = 0;

/** A file of the widget's that is needed only now. A browser may keep a failure: then it is asked for by another address. */
export async function part(name) {
  try {
    return await import(`./${name}.js${failures ? `?again=${failures}` : ""}`);
  } catch (error) {
    failures += 1;
    console.warn(`Answerdesk: ${name}.js could not be loaded.`);
    throw error;
  }
}

const styled = new Set();

/** Adds rules to the widget's, once. */
export function addStyle(root, rules) {
  if (styled.has(rules)) return;
  styled.add(rules);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(rules);
  const shadow = root.getRootNode();
  shadow.adoptedStyleSheets = [...shadow.adoptedStyleSheets, sheet];
}

/** An address of the web that a link may lead to, or null. */
export function webAddress(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}
