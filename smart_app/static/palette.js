// What the dialogs for finding and for the keys show; loaded when one of them is opened for the first time.
import { byId, keyed, stored, usable, use } from "/static/elements.js";

const named = (each) => each.dataset.keyTitle || each.ariaLabel || each.textContent.trim().replace(/\s+/g, " ");

export function opened(dialog) {
  if (dialog.id === "keys") { showKeys(); return; }
  ask.value = "";
  here();
  ask.dispatchEvent(new Event("opened"));
}

function showKeys() {
  const found = keyed(), here = byId("keys-here");
  here.hidden = !found.length;
  here.querySelector("dl").replaceChildren(...found.map((each) => {
    const row = document.createElement("div"), key = document.createElement("kbd"), [dt, dd] = ["dt", "dd"].map((name) => document.createElement(name));
    key.textContent = each.dataset.key; dt.append(key); dd.textContent = named(each); row.append(dt, dd);
    return row;
  }));
  byId("keys-on").checked = stored("konsil-keys") !== "off";
}
byId("keys-on").addEventListener("change", (event) => stored("konsil-keys", event.target.checked ? "on" : "off"));

// The palette: what is on this page is found here, cases, patients and pages by the server.
const palette = byId("palette"), ask = byId("palette-q");
ask.addEventListener("input", here);
function here() {
  const words = ask.value.toLowerCase().split(/\s+/);
  const found = keyed().filter((each) => words.every((word) => named(each).toLowerCase().includes(word))).slice(0, 6);
  const list = byId("palette-here");
  list.hidden = !found.length;
  list.querySelector("ul").replaceChildren(...found.map((each) => {
    const row = document.createElement("li"), button = document.createElement("button"), key = document.createElement("kbd");
    key.textContent = each.dataset.key; button.type = "button"; button.append(named(each), key); row.append(button);
    button.addEventListener("click", () => { palette.close(); use(each); });
    return row;
  }));
}
palette.addEventListener("keydown", (event) => {
  const rows = [...palette.querySelectorAll(".k-palette-found :is(a, button)")].filter(usable);
  const at = rows.indexOf(document.activeElement), step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) { event.preventDefault(); (rows[at + step] || (step < 0 ? ask : rows[at]))?.focus(); }
  if (event.key === "Enter" && at < 0 && rows.length) { event.preventDefault(); rows[0].click(); }
});
