// The player. What plays are two Audio elements that are in no page, so that they go on
// while pages come and go: one plays, the other has the next track ready, and begins by
// itself when the first ends. The bar is in the layout and kept by hx-preserve; all
// listeners are on the document.
(() => {
  "use strict";
  const ahead = 30; // seconds before its end in which the next track is loaded
  const kept = "tunesafe-queue";
  const inVain = 3; // tracks in a row that cannot be had: then it waits for a person
  const $ = (what) => document.querySelector("#player [data-" + what + "]");

  // The queue.

  // queue has the tracks in the order in which they are played, the one at `at` now. Each
  // keeps the place that it has without shuffling.
  let queue = [], at = -1, shuffled = false, repeat = "";
  const now = () => queue[at];
  const probe = document.createElement("audio");
  const plays = (t) => t && probe.canPlayType(t.type) !== "";
  const usable = (t) => plays(t) && !t.failed;

  // follower is what plays after this track, when that ends by itself or is left.
  const follower = (left) => {
    if (repeat === "one" && !left && usable(now())) return at;
    for (let i = at + 1; i < queue.length; i++) if (usable(queue[i])) return i;
    return repeat ? queue.slice(0, at + 1).findIndex(usable) : -1;
  };

  const numbered = () => queue.forEach((t, i) => { t.place = i; });

  const mix = (list) => {
    for (let i = list.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [list[i], list[j]] = [list[j], list[i]];
    }
    return list;
  };

  // fill makes a new queue of tracks and plays one; -1 is any.
  const fill = (tracks, i) => {
    queue = tracks;
    numbered();
    if (shuffled) {
      const first = i < 0 ? Math.floor(Math.random() * queue.length) : i;
      queue = [queue[first], ...mix(queue.filter((t, k) => k !== first))];
      i = 0;
    }
    i = Math.max(i, 0);
    at = i - 1;
    start(plays(queue[i]) ? i : follower(true));
  };

  const shuffle = () => {
    const t = now();
    shuffled = !shuffled;
    if (shuffled) queue = [...queue.slice(0, at + 1), ...mix(queue.slice(at + 1))];
    else queue.sort((a, b) => a.place - b.place);
    at = queue.indexOf(t);
    if (!shuffled) numbered();
    changed(shuffled ? "What comes next is shuffled." : "What comes next is in its order again.");
  };

  const turns = () => {
    repeat = {"": "all", all: "one", one: ""}[repeat];
    changed({"": "Nothing is repeated.", all: "The queue is repeated.", one: "This track is repeated."}[repeat]);
  };

  // put takes a track into the queue, at its end or behind the one that plays.
  const put = (t, next) => {
    if (at < 0) return fill([t], 0);
    t.place = next ? now().place + .5 : Math.max(...queue.map((q) => q.place)) + 1;
    queue.splice(next ? at + 1 : queue.length, 0, t);
    if (!shuffled) numbered();
    changed("“" + t.title + "” comes " + (next ? "next." : "at the end of the queue."));
  };

  const move = (i, by) => {
    const to = i + by, t = queue[i];
    if (!t || to <= at || to >= queue.length) return;
    const held = heldIn($("list"));
    queue.splice(i, 1);
    queue.splice(to, 0, t);
    if (!shuffled) numbered();
    changed("“" + t.title + "” is number " + (to - at) + " of " + (queue.length - at - 1) + " now.");
    hold($("list"), to - at - 1, held ? held.what : "jump");
  };

  const drop = (i) => {
    const [t] = queue.splice(i, 1);
    changed("“" + t.title + "” is out of the queue.");
    hold($("list"), i - at - 1, "jump");
  };

  const clear = () => {
    queue = now() ? [now()] : [];
    at = queue.length - 1;
    changed("Nothing comes after this track.");
  };

  // changed shows and keeps another queue. What was made ready may not be next any more.
  const changed = (text) => {
    const i = follower();
    if (!ending(spare) && spare.dataset.id && (i < 0 || queue[i].id !== spare.dataset.id)) empty(spare);
    say(text, "", 4000);
    prepare();
    draw();
    save();
  };

  // It outlives a page that is loaded anew, not the window.
  const save = () => {
    const list = queue.slice(0, 2000).map(({failed, ...t}) => t);
    try { sessionStorage.setItem(kept, JSON.stringify({queue: list, at, shuffled, repeat, time: audio.currentTime})); } catch { /* full or forbidden */ }
  };
  const restore = () => {
    try {
      const was = JSON.parse(sessionStorage.getItem(kept));
      if (!was || !was.queue[was.at]) return;
      ({queue, at, shuffled, repeat} = was);
      load(audio, now());
      audio.preload = "metadata";
      audio.currentTime = was.time || 0;
    } catch { /* none, or of another time */ }
  };

  // The sound.

  let audio = new Audio(), spare = new Audio(), turn = 0, failures = 0;
  let lead = 8;  // milliseconds from the wish to play to the sound: see took

  const load = (el, t) => {
    if (el.dataset.id === t.id && !el.error) return;
    el.dataset.id = t.id;
    el.preload = "auto";
    el.src = "/media/" + t.id;
  };
  const empty = (el) => {
    el.pause();
    delete el.dataset.id;
    el.removeAttribute("src");
    el.load();
  };
  // ending tells whether an element still plays the end of the track before.
  const ending = (el) => el !== audio && !el.paused && !el.ended;

  const start = (i, said) => {
    if (i < 0 || i >= queue.length) return;
    at = i;
    if (!said) say("");
    if (spare.dataset.id === now().id && !spare.error && !ending(spare)) [audio, spare] = [spare, audio];
    empty(spare);
    load(audio, now());
    if (audio.currentTime) audio.currentTime = 0;
    play();
    draw();
    save();
  };
  const play = () => {
    if (now() && (audio.error || !audio.dataset.id)) { // it may be well again
      const from = audio.currentTime;
      now().failed = false;
      load(audio, now());
      audio.currentTime = from;
    }
    const p = audio.play();
    if (p) p.catch((e) => { if (e.name === "NotAllowedError") draw(); });
  };
  const toggle = () => { if (!now()) return; audio.paused ? play() : audio.pause(); };
  const step = (by) => {
    if (by < 0 && audio.currentTime > 3) return seek(0);
    if (by > 0) return start(follower(true));
    let i = at - 1;
    while (queue[i] && !usable(queue[i])) i--;
    queue[i] ? start(i) : seek(0);
  };
  const length = () => (isFinite(audio.duration) && audio.duration) || (now() && now().seconds) || 0;
  const seek = (s) => { if (now()) audio.currentTime = Math.max(0, Math.min(s, length() || s)); };

  // prepare has the next track loaded, and shortly before the end sees to it that it
  // begins then: to wait for the end to be told would make a gap.
  const prepare = () => {
    const left = length() - audio.currentTime, i = follower();
    clearTimeout(turn);
    if (i < 0 || audio.paused || left > ahead || ending(spare)) return;
    load(spare, queue[i]);
    if (left < 1.5 && isFinite(audio.duration)) turn = setTimeout(over, Math.max(0, 1000 * left / audio.playbackRate - lead - 8));
  };
  const over = () => {
    const due = performance.now() + 1000 * (audio.duration - audio.currentTime) / audio.playbackRate - lead, i = follower();
    if (!(due - performance.now() < 50) || audio.paused || audio.seeking || i < 0 || spare.dataset.id !== queue[i].id || spare.readyState < 3) return;
    while (performance.now() < due); // for some milliseconds, which no timer hits
    const was = audio;
    [audio, spare] = [spare, audio];
    passed(at, i);
    at = i;
    play();
    took(audio, performance.now());
    was.addEventListener("ended", () => { if (was === spare) empty(was); }, {once: true});
    draw();
    save();
  };
  // took learns how long it takes from the wish to play to the sound.
  const took = (el, since) => setTimeout(() => {
    const wait = performance.now() - since - 1000 * el.currentTime / el.playbackRate;
    if (el === audio && !el.paused && wait > -50 && wait < 250) lead = Math.max(0, (lead + wait) / 2);
  }, 400);

  // passed says which tracks were left out on the way, as the browser cannot play them.
  const passed = (from, to) => {
    const left = queue.slice(from + 1, Math.max(to, from + 1)).filter((t) => !plays(t));
    if (left.length) cannot(left[0]);
    return left.length > 0;
  };
  const onward = (said) => {
    const i = follower(), from = at;
    if (i < 0) return draw();
    start(i, passed(from, i) || said);
  };

  // reach asks for the last bytes of a track, which are sound, as the first may be here
  // alone, and for those at a part of it.
  const reach = async (t, part) => {
    const get = (range) => fetch("/media/" + t.id, {headers: {Range: "bytes=" + range}});
    try {
      const r = await get("-65536");
      const size = +(r.headers.get("Content-Range") || "").split("/")[1] || 0, from = Math.floor(size * part);
      try {
        await r.arrayBuffer();
        if (from < size - 65536) await (await get(from + "-" + (from + 65535))).arrayBuffer();
      } catch { return {status: r.status}; }
      return {status: r.status, bytes: true};
    } catch { return {status: 0}; /* nobody answers */ }
  };

  // watched asks what keeps a track that does not play on: a browser tries for long.
  const watched = 5; // seconds
  let watch = 0;
  const stands = (el) => el === audio && !el.paused && !el.ended && el.readyState < 3;
  const guard = () => {
    clearTimeout(watch);
    if (stands(audio)) watch = setTimeout(() => { if (stands(audio)) fails(0); }, 1000 * watched);
  };

  // fails says why a track does not play on, and goes on with the next one if it never will.
  const fails = async (code) => {
    const t = now(), el = audio, b = el.buffered;
    if (!code) say("The sound of “" + t.title + "” is on its way …");
    const {status, bytes} = await reach(t, length() && b.length ? Math.min(1, b.end(b.length - 1) / length()) : 0);
    if (el !== audio || now() !== t || !(el.error || stands(el))) return;
    draw();
    if (!status) return say("Tunesafe does not answer. It may have been ended on the computer that it runs on.");
    if (status === 401) return say("You are signed out.");
    if (!code && bytes && status < 400) return guard();
    t.failed = true;
    const why = status === 404 ? "“" + t.title + "” is not in the library any more." :
      !bytes || status >= 500 || code === MediaError.MEDIA_ERR_NETWORK ? "“" + t.title + "” cannot be had now." :
      code === MediaError.MEDIA_ERR_DECODE ? "“" + t.title + "” cannot be played to its end: the file may be damaged." : "";
    const goes = ++failures < inVain && follower(true) >= 0;
    if (why) say(why + (goes ? " It is left out." : ""), status === 404 ? "" : t.id);
    else cannot(t);
    if (goes) start(follower(true), true);
    else empty(el), draw();
  };

  for (const el of [audio, spare]) {
    const told = (e, f) => el.addEventListener(e, () => { if (el === audio) f(); });
    told("timeupdate", () => { place(); prepare(); });
    for (const e of ["play", "pause", "durationchange", "loadedmetadata", "seeked"]) told(e, () => { draw(); prepare(); });
    told("playing", () => { failures = 0; clearTimeout(watch); if ($("say").textContent.endsWith("…")) say(""); });
    for (const e of ["waiting", "play", "seeking"]) told(e, guard);
    told("ended", onward);
    el.addEventListener("error", () => {
      if (!el.getAttribute("src")) return;
      el === audio ? fails(el.error.code) : empty(el); // what comes next is asked for again in its turn
    });
  }

  // What is shown.

  let saying = 0;
  const say = (text, id, time) => {
    const p = $("say");
    clearTimeout(saying);
    if (!p) return;
    p.textContent = text;
    if (text && id) {
      const a = document.createElement("a");
      a.href = "/media/" + id + "?download";
      a.download = "";
      a.setAttribute("hx-boost", "false");
      a.textContent = "Download it";
      p.append(" ", a, ".");
    }
    if (text) document.getElementById("player").hidden = false;
    if (text && time) saying = setTimeout(() => say(""), time);
  };
  const cannot = (t) => say("This browser cannot play “" + t.title + "”" + kindOf(t) + ".", t.id);
  const kindOf = (t) => {
    const kind = (t.type || "").split(";")[0].replace(/^audio\/(x-)?/, "");
    return kind && !kind.includes("/") ? " (" + kind.toUpperCase() + ")" : "";
  };
  const clock = (s) => {
    s = Math.floor(s) || 0;
    const two = (n) => String(n).padStart(2, "0"), m = Math.floor(s / 60);
    return s < 3600 ? m + ":" + two(s % 60) : Math.floor(m / 60) + ":" + two(m % 60) + ":" + two(s % 60);
  };

  // Tracks are in the page as elements with data-track, in the order of a data-queue.
  const trackOf = (el) => {
    const d = el.dataset, box = el.closest("[data-queue]");
    const text = (what) => (el.querySelector(what) || {textContent: ""}).textContent.trim();
    return {id: d.track, type: d.type, title: text(".name"), artist: text("[data-by]"), album: text("[data-album]"), seconds: +d.seconds || 0, art: d.art || (box && box.dataset.art) || ""};
  };
  const tracksAround = (el) => [...(el.closest("[data-queue]") || el.closest("[data-track]").parentNode).querySelectorAll("[data-track]")];

  const place = () => {
    const of = length(), bar = $("seek");
    if (!bar) return;
    $("at").textContent = clock(audio.currentTime);
    $("of").textContent = clock(of);
    bar.max = of || 1;
    if (!bar.matches(":active")) bar.value = audio.currentTime;
    bar.setAttribute("aria-valuetext", clock(audio.currentTime) + " of " + clock(of));
    if (session && session.setPositionState && of) session.setPositionState({duration: of, position: Math.min(audio.currentTime, of), playbackRate: audio.playbackRate});
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
    box.querySelector("[data-do=shuffle]").setAttribute("aria-pressed", shuffled);
    const turning = box.querySelector("[data-do=repeat]");
    turning.setAttribute("aria-pressed", repeat !== "");
    turning.querySelector("[data-word]").textContent = {"": "Repeat", all: "Repeat all", one: "Repeat this track"}[repeat];
    list();
    place();
    told(t);
  };

  // heldIn is what has the focus in the list of the queue, and hold gives it to such.
  const heldIn = (ol) => ol.contains(document.activeElement) && {row: [...ol.children].indexOf(document.activeElement.closest("li")), what: Object.keys(document.activeElement.dataset)[0]};
  const hold = (ol, row, what) => {
    const li = ol.children[Math.min(row, ol.children.length - 1)];
    if (!li) return document.querySelector("#player [data-do=queue]").focus();
    const b = li.querySelector("[data-" + what + "]");
    (b.disabled ? li.querySelector("[data-jump]") : b).focus();
  };

  // list shows what comes next, and leaves the focus where it is.
  const shown = 100;
  const list = () => {
    const ol = $("list"), row = $("row"), next = queue.slice(at + 1, at + 1 + shown);
    const text = JSON.stringify([at, queue.length, next.map((t) => t.id)]);
    if (ol.dataset.text === text) return;
    ol.dataset.text = text;
    const held = heldIn(ol);
    ol.replaceChildren(...next.map((t, k) => {
      const li = row.content.firstElementChild.cloneNode(true), name = t.title + (t.artist ? " · " + t.artist : "");
      li.dataset.place = at + 1 + k;
      li.querySelector("[data-jump]").textContent = name;
      for (const [what, words] of [["up", "Move up: "], ["down", "Move down: "], ["drop", "Take out of the queue: "]]) li.querySelector("[data-" + what + "]").setAttribute("aria-label", words + name);
      li.querySelector("[data-up]").disabled = k === 0;
      li.querySelector("[data-down]").disabled = at + 2 + k >= queue.length;
      return li;
    }));
    if (held) hold(ol, held.row, held.what);
    $("none").hidden = next.length > 0;
    $("more").hidden = at + 1 + shown >= queue.length;
    $("more").textContent = "and " + (queue.length - at - 1 - shown) + " more";
  };

  // mark shows in the page what plays, and what the browser cannot.
  const mark = () => {
    const t = now();
    for (const el of document.querySelectorAll("main [data-track]")) {
      el.classList.toggle("playing", !!t && el.dataset.track === t.id);
      const add = el.querySelector("[data-add]"); // lists are sent without the button beside it, as they are long
      if (add && $("after") && !el.querySelector("[data-next]")) add.before($("after").content.cloneNode(true));
      if (!plays(trackOf(el))) {
        el.classList.add("cannot");
        const why = "cannot be played in this browser" + kindOf(trackOf(el));
        const what = el.querySelector(".what"), p = el.querySelector("[data-cannot]");
        if (what) what.dataset.why = why;
        if (p) { p.hidden = false; p.textContent = "It " + why + ", but downloaded."; }
      }
    }
  };

  // The keys and the screen that the system has for what plays.
  const session = navigator.mediaSession;
  const told = (t) => {
    if (!session || typeof MediaMetadata === "undefined") return;
    session.playbackState = audio.paused ? "paused" : "playing";
    if (session.metadata && session.metadata.title === t.title && told.id === t.id) return;
    told.id = t.id;
    session.metadata = new MediaMetadata({title: t.title, artist: t.artist, album: t.album, artwork: t.art ? [{src: t.art}] : []});
  };
  if (session) {
    const keys = {play: () => { if (now()) play(); }, pause: () => audio.pause(), stop: () => audio.pause(), previoustrack: () => step(-1), nexttrack: () => step(1),
      seekto: (e) => seek(e.seekTime), seekbackward: (e) => seek(audio.currentTime - (e.seekOffset || 10)), seekforward: (e) => seek(audio.currentTime + (e.seekOffset || 10))};
    for (const k in keys) try { session.setActionHandler(k, keys[k]); } catch { /* the browser has no such key */ }
  }

  // What a person does.

  const actions = {
    toggle, back: () => step(-1), next: () => step(1), shuffle, repeat: turns, clear,
    queue: (b) => { const q = document.getElementById("queue"); q.hidden = !q.hidden; b.setAttribute("aria-expanded", !q.hidden); },
  };
  const inQueue = (b, i) => {
    const d = b.dataset;
    if (d.jump !== undefined) { queue[i].failed = false; plays(queue[i]) ? start(i) : cannot(queue[i]); }
    else if (d.up !== undefined) move(i, -1);
    else if (d.down !== undefined) move(i, 1);
    else if (d.drop !== undefined) drop(i);
  };
  document.addEventListener("click", (e) => {
    const b = e.target.closest("button");
    if (!b) return;
    const d = b.dataset, el = b.closest("[data-track]");
    if (b.closest("#player")) {
      if (d.do) actions[d.do](b);
      else if (b.closest("[data-place]")) inQueue(b, +b.closest("[data-place]").dataset.place);
    } else if (d.play !== undefined && el) {
      const t = trackOf(el), all = tracksAround(el);
      if (!plays(t)) return cannot(t);
      if (now() && now().id === t.id) return toggle();
      fill(all.map(trackOf), all.indexOf(el));
    } else if (d.playAll !== undefined) {
      const all = [...document.querySelectorAll("main [data-track]")].map(trackOf);
      if (all.some(plays)) fill(all, shuffled ? -1 : 0);
      else if (all[0]) cannot(all[0]);
    } else if ((d.add !== undefined || d.next !== undefined) && el) {
      put(trackOf(el), d.next !== undefined);
    }
  });
  document.addEventListener("input", (e) => { if (e.target.matches("#player [data-seek]")) seek(+e.target.value); });
  document.addEventListener("error", (e) => { if (e.target.matches && e.target.matches(".cover img")) e.target.classList.add("broken"); }, true);

  document.addEventListener("keydown", (e) => {
    const row = e.target.closest("#player [data-place]"), by = {ArrowUp: -1, ArrowDown: 1}[e.key];
    if (row && by && e.altKey) {
      move(+row.dataset.place, by);
      return e.preventDefault();
    }
    if (row && e.key === "Delete") {
      drop(+row.dataset.place);
      return e.preventDefault();
    }
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
