// Searches as the user types, updates the page, and marks new changes. The page works without it: every answer is the page that a
// reload would bring, and only differences are applied, so that focus, scroll position and typed text stay.
"use strict";
(() => {
  const EVERY = 5000;
  const PAUSE = 150;
  const PATIENCE = 15000;

  const form = document.getElementById("find");
  const live = document.getElementById("live");
  const news = document.getElementById("news");
  let asked = null;
  let timer = 0;
  let answered = new Date();
  let version = null;
  // Changes up to `opened` were there when the page was opened; those up to `seen`, when the user last viewed the changes.
  const opened = newest();
  let seen = opened;

  function plan(wait, what) {
    clearTimeout(timer);
    timer = setTimeout(what, wait);
  }

  // A newer request replaces an older one.
  async function load() {
    asked?.abort();
    asked = null;
    clearTimeout(timer);
    if (document.hidden) return;
    const mine = (asked = new AbortController());
    const { signal } = mine;
    const impatience = setTimeout(() => mine.abort(), PATIENCE);
    let status = 0;
    try {
      const headers = version ? { "If-None-Match": version } : {};
      const answer = await fetch(location.href, { signal, headers, cache: "no-store" });
      status = answer.status;
      if (status === 304) {
        grow(Date.parse(answer.headers.get("Date") ?? new Date()));
      } else {
        show(new DOMParser().parseFromString(await answer.text(), "text/html"));
        version = answer.headers.get("ETag");
      }
      answered = new Date();
      say("Live", "good");
    } catch {
      if (mine !== asked) return;
      const since = `since ${answered.toLocaleTimeString()}`;
      say(
        !status ? `No answer ${since}`
        : status === 200 || status === 401 ? "Sign in again: reload the page"
        : `The server has answered ${status} ${since}`,
        "bad",
      );
    } finally {
      clearTimeout(impatience);
    }
    if (mine === asked) plan(EVERY, load);
  }

  function say(words, tone) {
    if (live.textContent !== words) live.textContent = words;
    live.className = tone;
  }

  function show(page) {
    const files = (one) => ["link[href^=style-]", "script[src^=script-]"].map((file) => one.querySelector(file)?.outerHTML);
    const [mine, its] = [document, page].map(files);
    // An error or a sign-in page; the page of a missing target is one of the program.
    if (its.includes(undefined)) throw new Error("another page");
    // Another version of the program answers.
    if (String(mine) !== String(its)) return location.reload();
    document.title = page.title;
    become(document.querySelector("main"), page.querySelector("main"));
    mark();
  }

  // In microseconds since 1970, by the program's clock; 0 without changes.
  function newest() {
    return Number(document.querySelector("#changes li")?.dataset.key ?? 0);
  }

  // Marks the changes since the page was opened, and shows a link to them until it is followed.
  function mark() {
    for (const change of document.querySelectorAll("#changes li[data-key]")) {
      change.classList.toggle("new", change.dataset.key > opened);
    }
    news.hidden = newest() <= seen;
  }

  // Only the time changed: updates the ages, and the times that are left, in the same format as the program.
  function grow(now) {
    for (const time of document.querySelectorAll("time")) {
      const until = time.classList.contains("until");
      const past = (now - Date.parse(time.dateTime)) / 1000;
      const seconds = Math.max(0, Math.floor(until ? -past : past));
      const span =
        seconds < 60 ? `${seconds} s`
        : seconds < 3600 ? `${Math.floor(seconds / 60)} min`
        : seconds < 172800 ? `${Math.floor(seconds / 3600)} h`
        : `${Math.floor(seconds / 86400)} days`;
      const words = seconds < 1 ? (until ? "now" : "just now") : until ? `in ${span}` : `${span} ago`;
      if (time.firstChild.data !== words) time.firstChild.data = words;
    }
  }

  function keyOf(node) {
    if (node.nodeType !== Node.ELEMENT_NODE) return "";
    return node.dataset.key || node.id || (node.tagName === "OPTION" && `option ${node.value}`) || "";
  }

  // Makes an element equal to another one. Children with a key are matched by it, others by their position.
  function become(element, wanted) {
    for (const { name, value } of wanted.attributes) {
      if (element.getAttribute(name) !== value) element.setAttribute(name, value);
    }
    for (const { name } of [...element.attributes]) {
      if (!wanted.hasAttribute(name)) element.removeAttribute(name);
    }
    const keys = new Set([...wanted.children].map(keyOf));
    const known = new Map();
    for (const child of [...element.children]) {
      const key = keyOf(child);
      if (key && !keys.has(key)) child.remove();
      else if (key) known.set(key, child);
    }
    let here = element.firstChild;
    for (const node of [...wanted.childNodes]) {
      const key = keyOf(node);
      const found = key ? known.get(key) : here && !keyOf(here) ? here : null;
      if (!found || found.nodeName !== node.nodeName) {
        element.insertBefore(document.importNode(node, true), here);
        continue;
      }
      if (found === here) here = here.nextSibling;
      else element.insertBefore(found, here);
      if (found.nodeType === Node.ELEMENT_NODE) become(found, node);
      else if (found.data !== node.data) found.data = node.data;
    }
    while (here) {
      const next = here.nextSibling;
      here.remove();
      here = next;
    }
  }

  // The address is that of the search, with its first page.
  function search() {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    history.replaceState(null, "", query.size ? `./?${query}` : "./");
    // Results begin below the form.
    document.getElementById("verdict").scrollIntoView({ block: "nearest" });
    load();
  }

  if (form) {
    const text = form.elements.namedItem("q");
    text.addEventListener("input", () => plan(PAUSE, search));
    form.addEventListener("change", (event) => event.target !== text && search());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      search();
    });
    document.getElementById("clear").addEventListener("click", (event) => {
      event.preventDefault();
      for (const field of form.elements) field.value = "";
      text.focus();
      search();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest("input, select, textarea")) return;
      event.preventDefault();
      text.focus();
    });
  }
  news.addEventListener("click", () => {
    seen = newest();
    news.hidden = true;
  });
  document.addEventListener("visibilitychange", () => !document.hidden && load());
  say("Live", "good");
  plan(EVERY, load);
})();
