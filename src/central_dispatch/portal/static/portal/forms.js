// What makes forms quick: names that fill the fields after them, files read into their text fields, copying, and a
// question before what was typed is left behind.
"use strict";

(() => {
  // ----------------------------------------------------------- prefilling
  const database = (name) => name.replaceAll("-", "_");
  const MAKE = {
    web_root: (name) => name,
    database: (name) => database(name).slice(0, 63),
    database_user: (name) => database(name).slice(0, 32),
    hostnames: (name, form) =>
      (form.dataset.pattern || "").replaceAll("{name}", name).replaceAll("{host}", form.dataset.host || ""),
  };

  // Kept beside the fields, not on them: a patched form loses attributes that the server does not know.
  const made = new WeakMap();
  const typed = new WeakSet();

  function prefill(form) {
    const name = form.elements.name.value.trim().toLowerCase();
    for (const [key, make] of Object.entries(MAKE)) {
      const field = form.elements[key];
      // A field that a person has written into is theirs, as is one that the server filled.
      if (!field || typed.has(field) || (field.value && field.value !== made.get(field))) continue;
      field.value = name ? make(name, form) : "";
      made.set(field, field.value);
    }
  }

  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-prefill]");
    if (!form) return;
    if (event.target.name === "name") prefill(form);
    else if (event.target.name in MAKE) typed[event.target.value ? "add" : "delete"](event.target);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const form = event.target.closest("form[data-prefill]");
    if (form) prefill(form);
  });

  // ---------------------------------------------------------------- files
  document.addEventListener("change", async (event) => {
    const input = event.target;
    const field = input.dataset && input.dataset.into ? document.getElementById(input.dataset.into) : null;
    if (!field || !input.files.length || input.files[0].size > 262144) return;
    field.value = await input.files[0].text();
    input.value = "";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });

  // -------------------------------------------------------------- copying
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
      const words = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = words; }, 1500);
    });
  }

  // ------------------------------------------------------------ selecting
  // A form with data-select: a box for all rows, and how many are selected.
  function count(form) {
    const boxes = [...form.querySelectorAll("tbody td.tick input")];
    const chosen = boxes.filter((box) => box.checked).length;
    const all = form.querySelector("[data-all]");
    if (all) {
      all.hidden = false;
      all.checked = chosen > 0 && chosen === boxes.length;
      all.indeterminate = chosen > 0 && chosen < boxes.length;
    }
    for (const one of form.querySelectorAll("[data-chosen]")) one.textContent = chosen ? String(chosen) : "";
    const bar = form.querySelector(".bulk");
    if (bar) bar.classList.toggle("idle", !chosen && !bar.querySelector("[name=over]").checked);
  }

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-select]");
    if (!form || event.target.form !== form) return;
    if (event.target.matches("[data-all]")) {
      for (const box of form.querySelectorAll("tbody td.tick input")) box.checked = event.target.checked;
    }
    count(form);
  });
  const countAll = () => document.querySelectorAll("form[data-select]").forEach(count);
  document.addEventListener("htmx:afterSwap", countAll);
  countAll();

  // ---------------------------------------------- nothing typed gets lost
  let dirty = false;
  document.addEventListener("input", (event) => { if (event.target.closest("form[data-guard]")) dirty = true; });
  document.addEventListener("submit", (event) => { if (!event.target.closest("form[hx-post]")) dirty = false; });
  addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });

  // A form that could not be sent stays as it is, and says what to do. Its token is made anew after a new sign-in.
  const unsent = document.getElementById("unsent");
  const say = (words) => {
    unsent.textContent = words;
    unsent.hidden = !words;
  };

  async function renew(form) {
    const answer = await fetch(location.href, { headers: { "HX-Request": "true" } });
    if (!answer.ok) return say("You are signed out. Sign in in another tab, then send this form again: all you typed is still here.");
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = fresh.querySelector("[name=csrfmiddlewaretoken]");
    if (token) form.elements.csrfmiddlewaretoken.value = token.value;
    return say("You signed in anew meanwhile. Send the form once more: all you typed is still here.");
  }

  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const form = event.target.closest("form[data-guard]");
    if (!form) return;
    const { xhr } = event.detail;
    if (xhr.status < 400 || xhr.status === 422) {
      if (xhr.getResponseHeader("HX-Redirect")) dirty = false;
      say("");
      return;
    }
    event.preventDefault();
    if (xhr.status === 401 || xhr.status === 403) renew(form);
    else say(`The dispatcher answered ${xhr.status}. Nothing was saved; all you typed is still here. Its log says more.`);
  });
  document.addEventListener("htmx:sendError", (event) => {
    if (event.target.closest("form[data-guard]")) say("The dispatcher cannot be reached. Nothing was saved; all you typed is still here.");
  });

  // The summary of errors takes the focus, so that it is read out and its links are at hand.
  document.addEventListener("htmx:afterSwap", () => {
    const summary = document.querySelector("[data-focus]");
    if (summary) summary.focus();
  });
})();
