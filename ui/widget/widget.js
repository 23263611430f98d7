/* What a site's page loads: the button at the corner, and on the first click the chat behind it (chat.js).

   Owns the script tag's attributes, the element that keeps page and widget apart, and its colours. Everything is built
   from DOM nodes, and styles are constructed sheets: it runs under a Content-Security-Policy without 'unsafe-inline'
   whose script-src and connect-src name the API. */
(() => {
  "use strict";
  const script = document.currentScript ?? document.querySelector("script[data-site][src*='widget.js']");
  if (!script?.dataset.site || document.querySelector("answerdesk-widget")) return;
  const page = window.answerdesk ?? {};
  const address = new URL(script.src);

  const guess = () => script.dataset.language || document.documentElement.lang || navigator.language || "en";
  const config = {
    api: new URL("api/widget/", address),
    site: script.dataset.site,
    language: guess().toLowerCase().startsWith("zh") ? "zh" : "en",
    languageIsChosen: Boolean(script.dataset.language),
    questions: (script.dataset.questions ?? "").split("|").map((each) => each.trim()).filter(Boolean).slice(0, 4),
    /** The token with which the site's backend says who the customer is; a function may fetch it. */
    identity: async () => script.dataset.identity || (typeof page.identity === "function" ? page.identity() : page.identity),
    /** Where the customer is at this moment, for pages that change without being loaded anew. */
    context: () => ({ product: script.dataset.product?.slice(0, 200), page: (location.origin + location.pathname).slice(0, 2000) }),
  };

  /* A page's rules reach this element, but no important declaration of its own: inside, they reach nothing. */
  const host = document.createElement("answerdesk-widget");
  host.style.setProperty("all", "initial", "important");
  host.style.setProperty("display", "block", "important");
  const shadow = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  shadow.adoptedStyleSheets = [sheet];
  const root = document.createElement("div");
  root.className = "root";
  root.lang = config.language === "zh" ? "zh-CN" : "en";
  shadow.append(root);

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const wanted = script.dataset.theme;
    root.dataset.theme = wanted === "light" || wanted === "dark" ? wanted : dark.matches ? "dark" : "light";
  };
  dark.addEventListener("change", paint);
  new MutationObserver(paint).observe(script, { attributes: true, attributeFilter: ["data-theme"] });
  paint();

  const launcher = document.createElement("button");
  const labels = { en: ["Open the chat", "Close the chat", "new"], zh: ["打开客服对话", "收起客服对话", "条新消息"] };
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const [name, drawn] of [["ask", "M5 4.5h14a2 2 0 0 1 2 2v8.4a2 2 0 0 1-2 2h-6.6L8 20.6v-3.7H5a2 2 0 0 1-2-2V6.500a2 2 0 0 1 2-2zM7.600 9h8.800M7.600 12.400h5.400"], ["away", "M6 9.500l6 6 6-6"]]) {
    const path = document.createElementNS(svg.namespaceURI, "path");
    path.setAttribute("d", drawn);
    path.setAttribute("class", name);
    svg.append(path);
  }
  const badge = document.createElement("span");
  badge.className = "badge";
  launcher.type = "button";
  launcher.className = "launcher";
  launcher.setAttribute("aria-haspopup", "dialog");
  launcher.append(svg, badge);
  root.append(launcher);

  /** Shows on the button whether the chat is open, and how many messages nobody has seen. */
  const show = (isOpen, unread = 0) => {
    const [open, close, more] = labels[config.language];
    launcher.setAttribute("aria-expanded", String(isOpen));
    launcher.setAttribute("aria-label", isOpen ? close : unread ? `${open} (${unread} ${more})` : open);
    badge.textContent = unread ? (unread > 9 ? "9+" : String(unread)) : "";
    root.classList.toggle("is-open", isOpen);
  };
  show(false);

  let chat = null;
  let failures = 0;
  const load = () => {
    const file = (name) => import(new URL(`widget/${name}${failures ? `?again=${failures}` : ""}`, address).href);
    chat ??= Promise.all([file("chat.js"), file(`texts_${config.language}.js`)])
      .then(([{ Chat }, { TEXTS }]) => new Chat({ config, host, root, launcher, show, restart, texts: TEXTS }));
    chat.catch(() => { chat = null; failures += 1; });
    return chat;
  };
  const restart = (language) => {
    const isOpen = root.classList.contains("is-open");
    config.language = language;
    root.lang = language === "zh" ? "zh-CN" : "en";
    chat = null;
    show(false);
    return isOpen ? open() : load().then((loaded) => loaded.wake());
  };
  const open = () => {
    launcher.classList.add("is-busy");
    return load().then((loaded) => loaded.open(), () => console.warn("Answerdesk: the chat could not be loaded."))
      .finally(() => launcher.classList.remove("is-busy"));
  };
  const close = () => chat?.then((loaded) => loaded.close());
  launcher.addEventListener("click", () => (root.classList.contains("is-open") ? close() : open()));
  for (const soon of ["pointerenter", "focus"]) launcher.addEventListener(soon, () => load().catch(() => {}), { once: true });
  window.answerdesk = Object.assign(page, { open, close });

  sheet.replaceSync(`
    .root { --accent: var(--answerdesk-accent, #17635c); --on-accent: var(--answerdesk-on-accent, #fff);
      --ink: #1b2423; --soft: #55635f; --line: #e1e7e4; --panel: #fff; --paper: #f6f8f7; --warn: #fdf7e8; --on-warn: #5c4711;
      --bad: #9d2f20; --accent-text: var(--accent); --tint: color-mix(in srgb, var(--accent) 12%, var(--panel));
      --shade: 0 18px 60px rgb(15 30 28 / 22%), 0 2px 8px rgb(15 30 28 / 10%);
      --side: max(20px, env(safe-area-inset-right)); --below: max(20px, env(safe-area-inset-bottom));
      color-scheme: light; color: var(--ink);
      font: 15px/1.55 var(--answerdesk-font, system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif); }
    .root[data-theme="dark"] { --ink: #e7edeb; --soft: #a4b2ae; --line: #303c39; --panel: #171e1d; --paper: #1f2827;
      --warn: #362d16; --on-warn: #f0dfae; --bad: #ff9f90; --accent-text: color-mix(in srgb, var(--accent) 38%, #e8fffa);
      --tint: color-mix(in srgb, var(--accent) 34%, var(--panel));
      --shade: 0 18px 60px rgb(0 0 0 / 60%), 0 0 0 1px rgb(255 255 255 / 8%); color-scheme: dark; }
    *, *::before, *::after { box-sizing: border-box; }
    .launcher { position: fixed; z-index: 2147483000; right: var(--side); bottom: var(--below); width: 58px; height: 58px; padding: 0; border: 0;
      border-radius: 50%; background: var(--accent); color: var(--on-accent); cursor: pointer; display: grid; place-items: center;
      box-shadow: 0 8px 26px rgb(15 30 28 / 26%), 0 1px 4px rgb(15 30 28 / 18%); transition: transform .18s ease, box-shadow .18s ease; }
    .launcher:hover { transform: translateY(-2px); }
    .launcher:active { transform: scale(.96); }
    .launcher svg { width: 27px; height: 27px; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; }
    .launcher .away, .is-open .launcher .ask { display: none; }
    .is-open .launcher .away { display: inline; }
    .launcher.is-busy svg { animation: breathe 1s ease-in-out infinite; }
    .badge { position: absolute; top: -3px; right: -3px; min-width: 21px; height: 21px; padding: 0 6px; border-radius: 11px; background: #b3261e;
      color: #fff; font: 650 12px/21px system-ui, sans-serif; text-align: center; }
    .badge:empty { display: none; }
    :focus-visible { outline: 2px solid var(--accent-text); outline-offset: 2px; }
    .launcher:focus-visible { outline: 3px solid var(--panel); outline-offset: -6px; box-shadow: 0 0 0 3px var(--accent); }
    @keyframes breathe { 50% { opacity: .4; } }
    @media (prefers-reduced-motion: reduce) { *, *::before, *::after { animation: none !important; transition: none !important; scroll-behavior: auto !important; } }
    @media print { .root { display: none; } }
  `);
  document.documentElement.append(host);

  /* Who had the chat open, or waits for a person, finds it as it was after a reload. */
  let before = null;
  try { before = JSON.parse(sessionStorage.getItem(`answerdesk ${config.site}`) ?? "null"); } catch { /* storage is closed to us */ }
  if (before?.open && !matchMedia("(max-width: 520px)").matches) open();
  else if (before?.open || before?.waiting) load().then((loaded) => loaded.wake(), () => {});
})();
