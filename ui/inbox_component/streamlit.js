// What Streamlit tells a component in a frame, and what it wants to hear: messages between this window and its parent.

function say(type, more = {}) {
  window.parent.postMessage({ isStreamlitMessage: true, type: `streamlit:${type}`, ...more }, "*"); // nothing secret
}

/** Calls `draw(arguments, theme)` whenever the page is drawn; the frame's height is the page's style sheet's. */
export function listen(draw) {
  window.addEventListener("message", (message) => {
    if (message.source !== window.parent || message.data?.type !== "streamlit:render") return;
    draw(message.data.args, message.data.theme ?? {});
  });
  say("componentReady", { apiVersion: 1 });
  say("setFrameHeight", { height: 640 });
}
