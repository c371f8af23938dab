// The player. What plays are two Audio elements that are in no page, so that they go on
// while pages come and go: one plays, the other has the next track ready. The bar is in
// the layout and kept by hx-preserve; all listeners are on the document.
(() => {
  "use strict";
  const ahead = 30; // seconds before its end in which the next track is loaded
  const kept = "tunesafe-queue";
  let queue = [], at = -1, audio = new Audio(), spare = new Audio(), waiting = null;
  const probe = document.createElement("audio");
  const $ = (what) => document.querySelector("#player [data-" + what + "]");
  const now = () => queue[at];
  const plays = (t) => t && probe.canPlayType(t.type) !== "";
  const clock = (s) => {
    s = Math.floor(s) || 0;
    const two = (n) => String(n).padStart(2, "0"), m = Math.floor(s / 60);
    return s < 3600 ? m + ":" + two(s % 60) : Math.floor(m / 60) + ":" + two(m % 60) + ":" + two(s % 60);
  };

  // Tracks are in the page as elements with data-track, in the order of a data-queue.
  const trackOf = (el) => {
    const d = el.dataset, box = el.closest("[data-queue]");
    const text = (what) => (el.querySelector(what) || {textContent: ""}).textContent.trim();
    return {id: d.track, type: d.type, title: text(".name"), artist: text("[data-by]"), seconds: +d.seconds || 0, art: d.art || (box && box.dataset.art) || ""};
  };
  const tracksAround = (el) => [...(el.closest("[data-queue]") || el.closest("[data-track]").parentNode).querySelectorAll("[data-track]")];

  const say = (text, link) => {
    const p = $("say");
    if (!p) return;
    p.textContent = text;
    if (text && link) {
      const a = document.createElement("a");
      a.href = link;
      a.download = "";
      a.setAttribute("hx-boost", "false");
      a.textContent = "Download it";
      p.append(" ", a, ".");
    }
    if (text) document.getElementById("player").hidden = false;
  };
  const cannot = (t) => say("This browser cannot play “" + t.title + "”" + kindOf(t) + ".", "/media/" + t.id + "?download");
  const kindOf = (t) => {
    const kind = (t.type || "").split(";")[0].replace(/^audio\/(x-)?/, "");
    return kind && !kind.includes("/") ? " (" + kind.toUpperCase() + ")" : "";
  };

  const load = (el, t) => {
    if (el.dataset.id === t.id) return;
    el.dataset.id = t.id;
    el.preload = "auto";
    el.src = "/media/" + t.id;
  };
  const empty = (el) => {
    delete el.dataset.id;
    el.removeAttribute("src");
    el.load();
  };
  const follower = () => queue.findIndex((t, i) => i > at && plays(t));

  const start = (i, from) => {
    if (i < 0 || i >= queue.length) return;
    at = i;
    say("");
    if (spare.dataset.id === now().id) {
      [audio, spare] = [spare, audio];
    }
    spare.pause();
    empty(spare);
    load(audio, now());
    if (audio.currentTime || from) audio.currentTime = from || 0;
    play();
    draw();
    save();
  };
  const play = () => {
    const p = audio.play();
    if (p) p.catch((e) => { if (e.name === "NotAllowedError") draw(); });
  };
  const toggle = () => { if (!now()) return; audio.paused ? play() : audio.pause(); };
  const step = (by) => {
    if (by < 0 && audio.currentTime > 3) return seek(0);
    let i = at + by;
    while (queue[i] && !plays(queue[i])) i += by;
    if (queue[i]) start(i);
    else if (by < 0) seek(0);
  };
  const length = () => (isFinite(audio.duration) && audio.duration) || (now() && now().seconds) || 0;
  const seek = (s) => { if (now()) audio.currentTime = Math.max(0, Math.min(s, length() || s)); };

  const prepare = () => {
    const left = length() - audio.currentTime, i = follower();
    if (i < 0 || audio.paused || left > ahead) return;
    load(spare, queue[i]);
  };

  for (const el of [audio, spare]) {
    el.addEventListener("timeupdate", () => { if (el === audio) { place(); prepare(); } });
    for (const e of ["play", "pause", "durationchange", "loadedmetadata"]) el.addEventListener(e, () => { if (el === audio) draw(); });
    el.addEventListener("ended", () => { if (el === audio) { const i = follower(); i < 0 ? draw() : start(i); } });
    el.addEventListener("error", () => {
      if (el !== audio || !el.getAttribute("src") || !now()) return;
      cannot(now());
      draw();
    });
  }

  const place = () => {
    const of = length(), bar = $("seek");
    if (!bar) return;
    $("at").textContent = clock(audio.currentTime);
    $("of").textContent = clock(of);
    bar.max = of || 1;
    if (!bar.matches(":active")) bar.value = audio.currentTime;
    bar.setAttribute("aria-valuetext", clock(audio.currentTime) + " of " + clock(of));
    if (session && session.setPositionState && of) session.setPositionState({duration: of, position: Math.min(audio.currentTime, of)});
  };

  const draw = () => {
    mark();
    const t = now(), box = document.getElementById("player");
    if (!box || !t) return;
    box.hidden = false;
    box.dataset.playing = audio.paused ? "" : t.id;
    $("title").textContent = t.title;
    $("artist").textContent = t.artist;
    $("now").href = "/tracks/" + t.id;
    const img = $("cover");
    img.hidden = !t.art;
    if (t.art && img.getAttribute("src") !== t.art) { img.classList.remove("broken"); img.src = t.art; }
    const key = box.querySelector("[data-do=toggle]");
    key.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
    box.querySelector("[data-icon=play]").hidden = !audio.paused;
    box.querySelector("[data-icon=pause]").hidden = audio.paused;
    list();
    place();
    told(t);
  };

  const list = () => {
    const ol = $("list"), row = $("row");
    ol.replaceChildren(...queue.slice(at + 1, at + 101).map((t, i) => {
      const li = row.content.firstElementChild.cloneNode(true);
      const jump = li.querySelector("[data-jump]");
      jump.textContent = t.title + (t.artist ? " · " + t.artist : "");
      jump.dataset.jump = li.querySelector("[data-drop]").dataset.drop = at + 1 + i;
      return li;
    }));
    $("none").hidden = at + 1 < queue.length;
  };

  // mark shows in the page what plays, and what the browser cannot.
  const mark = () => {
    const t = now();
    for (const el of document.querySelectorAll("main [data-track]")) {
      el.classList.toggle("playing", !!t && el.dataset.track === t.id);
      if (!plays(trackOf(el))) {
        el.classList.add("cannot");
        const why = "cannot be played in this browser" + kindOf(trackOf(el));
        const what = el.querySelector(".what"), p = el.querySelector("[data-cannot]");
        if (what) what.dataset.why = why;
        if (p) { p.hidden = false; p.textContent = "It " + why + ", but downloaded."; }
      }
    }
  };

  const session = navigator.mediaSession;
  const told = (t) => {
    if (!session || typeof MediaMetadata === "undefined") return;
    session.playbackState = audio.paused ? "paused" : "playing";
    if (session.metadata && session.metadata.title === t.title && told.id === t.id) return;
    told.id = t.id;
    session.metadata = new MediaMetadata({title: t.title, artist: t.artist, artwork: t.art ? [{src: t.art}] : []});
  };
  if (session) {
    const keys = {play, pause: () => audio.pause(), previoustrack: () => step(-1), nexttrack: () => step(1),
      seekto: (e) => seek(e.seekTime), seekbackward: (e) => seek(audio.currentTime - (e.seekOffset || 10)), seekforward: (e) => seek(audio.currentTime + (e.seekOffset || 10))};
    for (const k in keys) try { session.setActionHandler(k, keys[k]); } catch { /* the browser has no such key */ }
  }

  // The queue outlives a page that is loaded anew, not the window.
  const save = () => {
    try { sessionStorage.setItem(kept, JSON.stringify({queue: queue.slice(0, 2000), at, time: audio.currentTime})); } catch { /* full or forbidden */ }
  };
  const restore = () => {
    try {
      const was = JSON.parse(sessionStorage.getItem(kept));
      if (!was || !was.queue[was.at]) return;
      ({queue, at} = was);
      load(audio, now());
      audio.preload = "metadata";
      audio.currentTime = was.time || 0;
    } catch { /* none, or of another time */ }
  };

  const actions = {
    toggle, back: () => step(-1), next: () => step(1),
    queue: (b) => { const q = document.getElementById("queue"); q.hidden = !q.hidden; b.setAttribute("aria-expanded", !q.hidden); },
  };
  document.addEventListener("click", (e) => {
    const b = e.target.closest("button");
    if (!b) return;
    const d = b.dataset, el = b.closest("[data-track]");
    if (b.closest("#player")) {
      if (d.do) actions[d.do](b);
      else if (d.jump !== undefined) start(+d.jump);
      else if (d.drop !== undefined) { queue.splice(+d.drop, 1); draw(); save(); }
    } else if (d.play !== undefined && el) {
      const t = trackOf(el), all = tracksAround(el);
      if (!plays(t)) return cannot(t);
      if (now() && now().id === t.id) return toggle();
      queue = all.map(trackOf);
      start(all.indexOf(el));
    } else if (d.playAll !== undefined) {
      queue = [...document.querySelectorAll("main [data-track]")].map(trackOf);
      const i = queue.findIndex(plays);
      i < 0 ? queue[0] && cannot(queue[0]) : start(i);
    } else if (d.add !== undefined && el) {
      queue.push(trackOf(el));
      at < 0 ? start(0) : (draw(), save());
      say("“" + trackOf(el).title + "” comes after what is in the queue.");
      clearTimeout(waiting);
      waiting = setTimeout(() => say(""), 4000);
    }
  });
  document.addEventListener("input", (e) => { if (e.target.matches("#player [data-seek]")) seek(+e.target.value); });
  document.addEventListener("error", (e) => { if (e.target.matches && e.target.matches(".cover img")) e.target.classList.add("broken"); }, true);

  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
    if (e.target.closest("input, textarea, select, [contenteditable]")) return;
    if (e.key === " " && e.target.closest("button, a, summary, [role=button]")) return;
    const keys = {" ": toggle, k: toggle, j: () => seek(audio.currentTime - 10), l: () => seek(audio.currentTime + 10),
      ArrowLeft: () => seek(audio.currentTime - 5), ArrowRight: () => seek(audio.currentTime + 5)};
    if (e.key === "/") {
      const q = document.getElementById("q"), link = document.querySelector('a[href="/search"]');
      if (q) { q.focus(); q.select(); } else if (link) link.click(); else return;
    } else if (keys[e.key] && now()) keys[e.key]();
    else return;
    e.preventDefault();
  });

  addEventListener("pagehide", save);
  document.addEventListener("htmx:after:swap", draw);
  document.addEventListener("DOMContentLoaded", () => { restore(); draw(); });
})();
