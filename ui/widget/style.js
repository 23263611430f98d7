/* How the open chat looks; the colours are those of widget.js. */

export const CHAT_STYLE = `
[hidden] { display: none !important; }
button { font: inherit; color: inherit; }
p, ul, h2, blockquote, fieldset { margin: 0; padding: 0; border: 0; }
ul { list-style: none; }
.icon { width: 20px; height: 20px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.panel { position: fixed; z-index: 2147483000; right: var(--side); bottom: calc(var(--below) + 72px); width: 404px; height: min(680px, calc(100vh - 116px));
  display: flex; flex-direction: column; overflow: hidden; background: var(--panel); color: var(--ink); border-radius: var(--answerdesk-radius, 18px);
  box-shadow: var(--shade); outline: 0; animation: rise .22s cubic-bezier(.2, .8, .3, 1); }
@keyframes rise { from { opacity: 0; transform: translateY(14px); } }
@keyframes appear { from { opacity: 0; transform: translateY(6px); } }

header { display: flex; align-items: center; gap: 11px; padding: 14px 12px 13px 18px; border-bottom: 1px solid var(--line); }
.face { width: 38px; height: 38px; flex: none; border-radius: 12px; display: grid; place-items: center; background: var(--accent); color: var(--on-accent); font-weight: 650; }
.titles { flex: 1; min-width: 0; }
h2 { font-size: 16px; font-weight: 650; line-height: 1.3; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.who { font-size: 12.5px; line-height: 1.4; color: var(--soft); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.tool { width: 36px; height: 36px; flex: none; padding: 0; border: 0; border-radius: 10px; background: none; color: var(--soft); cursor: pointer; display: grid; place-items: center; }
.tool[aria-pressed="true"] { background: var(--paper); color: var(--ink); }
@media (hover: hover) { .tool:hover { background: var(--paper); color: var(--ink); } }
.tool:disabled { opacity: .35; cursor: default; }
.banner { padding: 8px 18px; font-size: 13px; line-height: 1.45; background: var(--warn); color: var(--on-warn); }

.log { flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; padding: 18px 18px 10px; scrollbar-width: thin; scrollbar-color: var(--line) transparent; }
.log:focus-visible { outline-offset: -3px; }
.hello { font-size: 15px; overflow-wrap: anywhere; white-space: pre-line; }
.greeting .about { display: inline-flex; align-items: center; gap: 6px; margin-top: 10px; padding: 3px 11px 3px 8px; border-radius: 20px; background: var(--paper); color: var(--soft); font-size: 12.5px; overflow-wrap: anywhere; }
.greeting .about .icon { width: 16px; height: 16px; }
.choices { display: flex; flex-wrap: wrap; gap: 7px; margin-top: 12px; }
.choice { padding: 7px 14px; border: 1px solid color-mix(in srgb, var(--accent-text) 45%, var(--line)); border-radius: 20px; background: none; color: var(--accent-text);
  font-size: 14px; line-height: 1.4; text-align: start; cursor: pointer; overflow-wrap: anywhere; }
.choice:hover { background: var(--tint); }
.message { margin-top: 16px; display: flow-root; animation: appear .2s ease-out; }
.is-customer { display: flex; flex-direction: column; align-items: flex-end; }
.bubble { max-width: 86%; padding: 9px 14px; border-radius: 17px 17px 5px 17px; background: var(--tint); overflow-wrap: anywhere; white-space: pre-wrap; }
.is-failed .bubble { opacity: .6; }
.state { margin-top: 3px; font-size: 12px; color: var(--soft); }
.is-failed .state { color: var(--bad); }
.state .link { margin-left: 8px; }
.system { margin: 14px auto 0; max-width: 88%; text-align: center; font-size: 12.5px; color: var(--soft); overflow-wrap: anywhere; }
.link { padding: 3px 2px; border: 0; background: none; color: var(--accent-text); font-size: 12.5px; font-weight: 600; cursor: pointer; border-radius: 5px; }
.link:hover { text-decoration: underline; text-underline-offset: 3px; }
.thinking { display: flex; align-items: center; gap: 9px; color: var(--soft); font-size: 13.5px; }
.dots { display: inline-flex; gap: 4px; }
.dots i { width: 6px; height: 6px; border-radius: 50%; background: var(--soft); animation: breathe 1.2s ease-in-out infinite; }
.dots i:nth-child(2) { animation-delay: .18s; } .dots i:nth-child(3) { animation-delay: .36s; }

.composer { padding: 8px 14px max(9px, env(safe-area-inset-bottom)); }
.box { display: flex; align-items: flex-end; gap: 6px; padding: 5px 5px 5px 15px; border: 1px solid color-mix(in srgb, var(--soft) 45%, var(--line)); border-radius: 23px; background: var(--panel); }
.box:focus-within { border-color: var(--accent-text); box-shadow: 0 0 0 1px var(--accent-text); }
textarea { font: inherit; color: inherit; background: none; resize: none; }
.box textarea { flex: 1; min-width: 0; padding: 6px 0; border: 0; outline: 0; font-size: 16px; line-height: 22px; height: 34px; max-height: 132px; }
textarea::placeholder { color: var(--soft); opacity: 1; }
.send { width: 34px; height: 34px; flex: none; padding: 0; border: 0; border-radius: 50%; background: var(--accent); color: var(--on-accent); cursor: pointer; display: grid; place-items: center; }
.send:disabled { background: var(--paper); color: var(--soft); cursor: default; }
.foot { display: flex; justify-content: center; min-height: 8px; padding-top: 5px; }
.person { display: inline-flex; align-items: center; gap: 5px; color: var(--soft); font-weight: 500; }
.person:hover { color: var(--accent-text); } .person .icon { width: 16px; height: 16px; }

@media (max-width: 520px) {
  .panel { inset: 0; width: auto; height: 100dvh; border-radius: 0; }
  .is-open .launcher { display: none; }
  .tool { width: 42px; height: 42px; }
  .choice { padding: 9px 15px; }
}
`;
