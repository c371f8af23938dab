// What shows live how things go is asked for again, after pauses that grow, when the answer
// did not come or was none. Once there was one, hx-sse does so itself.
(() => {
  const least = 500, most = 60_000; // milliseconds, as hx-sse has them
  const pauses = new WeakMap();
  const unanswered = (e) => {
    const el = e.target;
    if (!el.matches?.("[hx-sse\\:connect]") || el._htmx?.sse) return;
    if (e.detail.ctx) e.detail.ctx.swap = "none"; // an error is not how things go
    const pause = pauses.get(el) ?? least;
    pauses.set(el, Math.min(2 * pause, most));
    setTimeout(() => {
      if (el.isConnected && !el._htmx?.sse) htmx.ajax("GET", el.getAttribute("hx-sse:connect"), {source: el, timeout: htmx.config.defaultTimeout});
    }, pause * (0.7 + 0.6 * Math.random()));
  };
  for (const name of ["htmx:error", "htmx:response:error"]) document.addEventListener(name, unanswered);
  document.addEventListener("htmx:sse:after:connection", (e) => pauses.delete(e.target));
})();
