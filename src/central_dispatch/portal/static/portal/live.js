// Keeps what is on the screen true without a reload.
//
// An element with data-topics="instances run:…" and hx-get is a region. A change hint of one of its topics (server-sent
// events at /live), its turn every 15 s, or a return to the tab makes it fetch itself again, and the answer is patched
// into what is there: scroll, selection, focus, opened folds and forms being filled in stay as they are.
"use strict";

(() => {
  const LOOK_MS = 15000;
  const GAP_MS = 250;
  const clockAhead = Date.now() - Number(document.body.dataset.now || Date.now());

  // ------------------------------------------------------------- patching
  const isFilledIn = (form) =>
    form.contains(document.activeElement) ||
    [...form.elements].some((field) =>
      field.type === "checkbox" || field.type === "radio"
        ? field.checked !== field.defaultChecked
        : "defaultValue" in field && field.type !== "hidden" && field.value !== field.defaultValue);

  function patchAttributes(old, fresh) {
    const turned = old.dataset.auto !== fresh.dataset.auto; // the page, not the person, opens or closes a fold
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === "open" && !turned)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (name === "open" && !turned) continue;
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  }

  function patchText(old, fresh) {
    if (old.data === fresh.data) return;
    if (fresh.data.startsWith(old.data)) old.appendData(fresh.data.slice(old.data.length)); // keeps a selection
    else old.data = fresh.data;
  }

  function patchNode(old, fresh, isRoot = false) {
    if (old.nodeType !== Node.ELEMENT_NODE) return patchText(old, fresh);
    if (old.isEqualNode(fresh)) return undefined;
    if (!isRoot && old.nodeName === "FORM" && isFilledIn(old)) return undefined;
    const atEnd = old.scrollHeight - old.scrollTop - old.clientHeight < 8;
    patchAttributes(old, fresh);
    const chosen = old.nodeName === "SELECT" ? fresh.value : null;
    patchChildren(old, fresh);
    if (chosen !== null && old.value !== chosen) old.value = chosen;
    if (old.hasAttribute("data-follow") && atEnd) old.scrollTop = old.scrollHeight;
    return undefined;
  }

  const matches = (old, fresh) => old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && !old.id;

  function patchChildren(old, fresh) {
    let cursor = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const same = child.id ? [...old.children].find((one) => one.id === child.id && one.nodeName === child.nodeName) : null;
      const match = same || (!child.id && cursor && matches(cursor, child) ? cursor : null);
      if (!match) old.insertBefore(child, cursor);
      else {
        if (match === cursor) cursor = cursor.nextSibling;
        else old.insertBefore(match, cursor);
        patchNode(match, child);
      }
    }
    while (cursor) {
      const next = cursor.nextSibling;
      cursor.remove();
      cursor = next;
    }
  }

  htmx.defineExtension("patch", {
    isInlineSwap: (style) => style === "patch",
    handleSwap: (style, target, fragment) => {
      const fresh = fragment.firstElementChild;
      if (style !== "patch" || !fresh) return false;
      patchNode(target, fresh, true);
      return [target];
    },
  });

  // A list with data-holds keeps its rows while one of them is selected or has the focus: they are asked for by number.
  document.addEventListener("htmx:configRequest", (event) => {
    const list = event.target;
    if (!list.matches("[data-holds]") || !list.querySelector("tbody :checked, tbody :focus")) return;
    const held = [...list.querySelectorAll("tbody td.tick input")].map((box) => box.value);
    if (held.length) event.detail.parameters.held = held.join(",");
  });

  // ------------------------------------------------------ hints and looks
  const regions = () => [...document.querySelectorAll("[data-topics]")];
  const topicsOf = (region) => region.dataset.topics.split(" ").filter(Boolean);
  const due = new WeakMap();
  const looked = new WeakMap();
  let stream = null;
  let heard = "";

  // The first hint is followed at once, those that come close behind it together.
  function look(region) {
    if (due.has(region)) return;
    const gap = Number(region.dataset.gap || GAP_MS);
    const wait = Math.max(0, (looked.get(region) || 0) + gap - performance.now());
    due.set(region, setTimeout(() => {
      due.delete(region);
      looked.set(region, performance.now());
      htmx.trigger(region, "look");
    }, wait));
  }

  function listen() {
    const topics = [...new Set(regions().flatMap(topicsOf))].sort();
    const query = topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join("&");
    if (document.hidden || !query) return hush();
    if (stream && heard === query && stream.readyState !== EventSource.CLOSED) return undefined;
    hush();
    heard = query;
    stream = new EventSource(`/live?${query}`);
    // Hints count from here on: what changed since the page was made, or while the line was cut, is looked for once.
    stream.addEventListener("open", () => regions().forEach(look));
    stream.addEventListener("change", (event) => {
      regions().filter((region) => topicsOf(region).includes(event.data)).forEach(look);
    });
    return undefined;
  }

  // A hidden tab gives its connection back: a browser grants one host only six.
  function hush() {
    if (stream) stream.close();
    stream = null;
  }

  function lookAtAll() {
    if (document.hidden) return;
    listen();
    regions().forEach(look);
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? hush() : lookAtAll()));
  addEventListener("pagehide", hush);
  addEventListener("pageshow", (event) => event.persisted && lookAtAll());
  setInterval(lookAtAll, LOOK_MS);

  // --------------------------------------------------- when it is not true
  const offline = document.getElementById("offline");
  let lastTrue = new Date();
  const cutOff = (event) => {
    if (!event.target.closest("[data-topics]") || !offline) return;
    offline.querySelector("time").textContent = lastTrue.toLocaleTimeString();
    offline.hidden = false;
  };
  document.addEventListener("htmx:sendError", cutOff);
  document.addEventListener("htmx:responseError", cutOff);
  document.addEventListener("htmx:timeout", cutOff);
  document.addEventListener("htmx:afterSwap", () => {
    lastTrue = new Date();
    if (offline) offline.hidden = true;
    listen();
    tick();
    age();
  });

  // ------------------------------------------------------------------ time
  const words = (seconds) => {
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
    return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  };
  const now = () => Date.now() - clockAhead;

  function tick() {
    for (const one of document.querySelectorAll("[data-since]")) {
      one.textContent = words(Math.max(0, (now() - Date.parse(one.dataset.since)) / 1000));
    }
  }

  function age() {
    for (const one of document.querySelectorAll("time[data-ago]")) {
      const seconds = (now() - Date.parse(one.dateTime)) / 1000;
      const distance = Math.abs(seconds);
      const steps = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [31 * 86400, 86400, "d"]];
      const step = steps.find(([limit]) => distance < limit);
      if (!step) continue; // the server wrote the date
      if (distance < 5) one.textContent = "just now";
      else {
        const figure = `${Math.floor(distance / step[1])} ${step[2]}`;
        one.textContent = seconds < 0 ? `in ${figure}` : `${figure} ago`;
      }
    }
  }

  setInterval(tick, 1000);
  setInterval(age, 10000);
  tick();
  age();
  listen();
})();
