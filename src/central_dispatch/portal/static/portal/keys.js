// Keyboard shortcuts, the list of them, and the switch between light and dark. Links carry data-key="g i".
"use strict";

(() => {
  const list = document.getElementById("shortcuts");
  const single = document.getElementById("single-keys");
  let first = "";
  let forget = 0;

  const areOn = () => localStorage.getItem("keys") !== "off";
  const isTyping = (target) => target.closest("input, textarea, select, [contenteditable], dialog[open]") !== null;

  function press(sequence) {
    const target = document.querySelector(`[data-key="${CSS.escape(sequence)}"]`);
    if (!target) return false;
    if (target.matches("input, select, textarea")) {
      target.focus();
      if (target.select) target.select();
    } else target.click();
    return true;
  }

  // j and k walk along the links that name a row.
  function walk(by) {
    const links = [...document.querySelectorAll("[data-row]")];
    const at = links.indexOf(document.activeElement);
    const next = links[Math.min(Math.max(at + by, 0), links.length - 1)];
    if (next) next.focus();
  }

  // x selects the row that has the focus.
  function select() {
    const row = document.activeElement.closest("tr");
    const box = row ? row.querySelector("td.tick input") : null;
    if (box) box.click();
    return box !== null;
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.matches("input[type=search]")) event.target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || !areOn() || isTyping(event.target)) return;
    const sequence = first ? `${first} ${event.key}` : event.key;
    clearTimeout(forget);
    first = "";
    if (sequence === "g") {
      first = "g";
      forget = setTimeout(() => { first = ""; }, 1500);
    } else if (sequence === "?" && list) list.showModal();
    else if (sequence === "j") walk(1);
    else if (sequence === "k") walk(-1);
    else if (sequence === "x" && select()) event.preventDefault();
    else if (!press(sequence)) return;
    event.preventDefault();
  });

  for (const opener of document.querySelectorAll("[data-shortcuts]")) {
    opener.hidden = false;
    opener.addEventListener("click", () => list.showModal());
  }
  if (single) {
    single.checked = areOn();
    single.addEventListener("change", () => localStorage.setItem("keys", single.checked ? "on" : "off"));
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".themes") || !event.submitter) return;
    document.documentElement.dataset.theme = event.submitter.value;
    for (const one of event.target.querySelectorAll("button")) {
      one.setAttribute("aria-pressed", String(one === event.submitter));
    }
  });
})();
