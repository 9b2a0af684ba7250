// Custom elements of our own, one for each behaviour a screen needs. They work on markup that makes sense without them.

class Theme extends HTMLElement {
  connectedCallback() {
    this.querySelector("button").addEventListener("click", () => {
      const root = document.documentElement;
      const theme = root.dataset.bsTheme === "dark" ? "light" : "dark";
      root.dataset.bsTheme = theme;
      stored("konsil-theme", theme);
    });
  }
}

// <konsil-live src="..." >: server-sent events; each event's name is the id of an element, its data the new inner HTML.
// An event `end` closes the stream for good; `reload` asks for the whole page, since its frame has changed.
class Live extends HTMLElement {
  connectedCallback() {
    this.open();
    this.onVisible = () => (document.hidden ? this.close() : this.open());
    document.addEventListener("visibilitychange", this.onVisible);
    this.onLeave = () => this.close();
    window.addEventListener("pagehide", this.onLeave);
  }
  disconnectedCallback() {
    this.close();
    document.removeEventListener("visibilitychange", this.onVisible);
    window.removeEventListener("pagehide", this.onLeave);
  }
  open() {
    if (this.source || this.ended) return;
    this.source = new EventSource(this.getAttribute("src"));
    for (const name of (this.getAttribute("events") || "").split(" ").filter(Boolean)) {
      this.source.addEventListener(name, (event) => this.replace(name, event.data));
    }
    this.source.addEventListener("end", () => { this.ended = true; this.close(); });
    this.source.addEventListener("reload", () => { this.ended = true; this.close(); location.reload(); });
  }
  close() {
    this.source?.close();
    this.source = null;
  }
  replace(id, html) {
    const target = document.getElementById(id);
    if (!target || target.innerHTML === html) return;
    target.innerHTML = html;
    window.htmx?.process(target);
  }
}

// A form that posts is sent once, wherever it stands; its buttons say so and wait.  (Forms that HTMX sends are HTMX's.)
document.addEventListener("submit", (event) => {
  const form = event.target;
  const post = (event.submitter?.getAttribute("formmethod") || form.method) === "post";
  if (event.defaultPrevented || !post || form.target) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  setTimeout(() => {
    for (const each of form.elements) if (each.type === "submit") each.disabled = true;
    event.submitter?.classList.add("btn-loading");
  });
});
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const each of form.elements) if (each.type === "submit") { each.disabled = false; each.classList.remove("btn-loading"); }
  }
});

// <konsil-toast>: goes after ten seconds, or later while somebody is at it.
class Toast extends HTMLElement {
  connectedCallback() {
    this.querySelector("[data-gone]").addEventListener("click", () => this.remove());
    const tick = () => {
      if (!this.matches(":hover, :focus-within")) this.left = (this.left ?? 10) - 1;
      if (this.left <= 0) this.remove(); else if (this.isConnected) setTimeout(tick, 1000);
    };
    setTimeout(tick, 1000);
  }
}

// <konsil-check> around a form: the browser's own rules, said beside the field once it was left or sent.
// data-missing and data-wrong on a control say it in better words.
class Check extends HTMLElement {
  connectedCallback() {
    this.addEventListener("invalid", (event) => {
      event.preventDefault();
      this.show(event.target);
      if (!this.asked) { this.asked = true; event.target.focus(); setTimeout(() => { this.asked = false; }); }
    }, true);
    this.addEventListener("focusout", (event) => { if (event.target.value) this.show(event.target); });
    this.addEventListener("input", (event) => { if (event.target.ariaInvalid === "true") this.show(event.target); });
  }
  show(control) {
    const place = document.getElementById(`${control.id}-error`);
    if (!place || !control.validity) return;
    const { valid, valueMissing } = control.validity;
    place.textContent = valid ? "" : (valueMissing ? control.dataset.missing : control.dataset.wrong) || control.validationMessage;
    place.hidden = valid;
    if (valid) control.removeAttribute("aria-invalid"); else control.setAttribute("aria-invalid", "true");
  }
}

// An empty search or filter has no place in the address.
document.addEventListener("htmx:config:request", (event) => {
  const { sourceElement, request } = event.detail.ctx;
  if (sourceElement.matches(".k-list-tools")) for (const [name, value] of [...request.body]) if (!value) request.body.delete(name);
});

// <konsil-open for="id">: opens the <dialog> of that id; buttons with [data-close] inside close it.
const byId = (id) => document.getElementById(id);
function open(dialog) {
  document.querySelector(":popover-open")?.hidePopover();
  if (dialog && !dialog.open) { dialog.showModal(); dialog.dispatchEvent(new Event("opened")); }
}
class Opener extends HTMLElement {
  connectedCallback() { this.addEventListener("click", () => open(byId(this.getAttribute("for")))); }
}
document.addEventListener("click", (event) => {
  const dialog = event.target.closest?.("dialog");
  if (dialog && (event.target === dialog || event.target.closest("[data-close]"))) dialog.close();
});

// Keys: Ctrl K or / finds, ? lists the keys, and data-key="a" on a button, link or field makes a its key.
const stored = (name, value) => {
  try { return value === undefined ? localStorage.getItem(name) : localStorage.setItem(name, value); } catch { return null; }
};
const usable = (each) => each.checkVisibility?.({ visibilityProperty: true }) && !each.disabled;
const keyed = () => [...document.querySelectorAll("[data-key]")].filter(usable);
const named = (each) => each.dataset.keyTitle || each.ariaLabel || each.textContent.trim().replace(/\s+/g, " ");
const writing = (target) => target.closest?.("input:not([type=checkbox],[type=radio]), textarea, select, [contenteditable]");
function use(target) { if (target.matches("input, textarea, select")) target.focus(); else target.click(); }

document.addEventListener("keydown", (event) => {
  const find = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k";
  if (find && byId("palette")) { event.preventDefault(); open(byId("palette")); return; }
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || writing(event.target)) return;
  if (stored("konsil-keys") === "off" || document.querySelector("dialog[open]")) return;
  const deed = { "/": "palette", "?": "keys" }[event.key];
  const target = deed ? null : keyed().find((each) => each.dataset.key === event.key);
  if (!byId(deed) && !target) return;
  event.preventDefault();
  if (deed) open(byId(deed)); else use(target);
});

const keys = byId("keys");
keys?.addEventListener("opened", () => {
  const found = keyed(), here = byId("keys-here");
  here.hidden = !found.length;
  here.querySelector("dl").replaceChildren(...found.map((each) => {
    const row = document.createElement("div"), key = document.createElement("kbd"), [dt, dd] = ["dt", "dd"].map((name) => document.createElement(name));
    key.textContent = each.dataset.key; dt.append(key); dd.textContent = named(each); row.append(dt, dd);
    return row;
  }));
  byId("keys-on").checked = stored("konsil-keys") !== "off";
});
byId("keys-on")?.addEventListener("change", (event) => stored("konsil-keys", event.target.checked ? "on" : "off"));

// The palette: what is on this page is found here, cases, patients and pages by the server.
const palette = byId("palette"), ask = byId("palette-q");
palette?.addEventListener("opened", () => { ask.value = ""; here(); ask.dispatchEvent(new Event("opened")); });
ask?.addEventListener("input", here);
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
palette?.addEventListener("keydown", (event) => {
  const rows = [...palette.querySelectorAll(".k-palette-found :is(a, button)")].filter(usable);
  const at = rows.indexOf(document.activeElement), step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) { event.preventDefault(); (rows[at + step] || (step < 0 ? ask : rows[at]))?.focus(); }
  if (event.key === "Enter" && at < 0 && rows.length) { event.preventDefault(); rows[0].click(); }
});

// <konsil-net>: says when the line is down or the sign-in has ended, keeps what was not saved and saves it when it can.
const SILENT = "No connection. What you wrote is kept on this page and sent when it is back.";
class Net extends HTMLElement {
  connectedCallback() {
    this.unsaved = new Set();
    this.line = this.querySelector(".k-net");
    this.dialog = this.querySelector("dialog");
    document.addEventListener("htmx:error", ({ detail: { ctx } }) => { if (ctx?.request && !ctx.response) this.lost(ctx); });
    document.addEventListener("htmx:before:response", (event) => {
      const { ctx } = event.detail;
      if (ctx.response.status === 401) { event.preventDefault(); this.keep(ctx); open(this.dialog); this.ask(); }
      else this.reached();
    });
    window.addEventListener("offline", () => this.say(SILENT));
    window.addEventListener("online", () => this.ask());
    window.addEventListener("focus", () => { if (this.waiting) this.ask(); });
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.ask(true); });  // back, perhaps after a sign-out
    this.busy();
  }
  keep(ctx) { if (ctx.request.method !== "GET") this.unsaved.add(ctx.sourceElement); this.waiting = true; }
  lost(ctx) { this.keep(ctx); this.say(SILENT); this.later(); }
  say(words) { this.line.textContent = words; this.line.hidden = !words; }
  later() { clearTimeout(this.timer); this.timer = setTimeout(() => this.ask(), 3000); }
  async ask(shown) {
    const answer = await fetch(this.getAttribute("ping"), { headers: { "HX-Request": "true" } }).catch(() => null);
    if (answer?.status === 204) this.reached();
    else if (answer?.status === 401 && shown) location.reload();
    else if (answer?.status === 401) { this.say(""); if (this.waiting) this.later(); }
    else this.later();
  }
  reached() {
    this.say("");
    if (!this.waiting) return;
    this.waiting = false;
    clearTimeout(this.timer);
    this.dialog.close();
    for (const each of this.unsaved) if (each.isConnected) each.dispatchEvent(new Event("change", { bubbles: true }));
    this.unsaved.clear();
  }
  busy() {  // a thin bar for what takes longer than a second
    let running = 0, timer;
    const count = (step) => {
      running = Math.max(0, running + step);
      clearTimeout(timer);
      if (running) timer = setTimeout(() => document.documentElement.classList.add("k-busy"), 1000);
      else document.documentElement.classList.remove("k-busy");
    };
    document.addEventListener("htmx:before:request", () => count(1));
    document.addEventListener("htmx:finally:request", () => count(-1));
  }
}

// What sticks to the top is as high as the patient's banner; the rest of the page keeps clear of it.
const banner = document.querySelector(".k-banner");
if (banner) new ResizeObserver(() => {
  const sticks = getComputedStyle(banner).display === "contents" ? banner.firstElementChild : banner;
  document.documentElement.style.setProperty("--k-stick", `${sticks.offsetHeight}px`);
}).observe(document.body);

// <konsil-list>: j and k move through its links or rows, Enter opens.
class List extends HTMLElement {
  connectedCallback() {
    this.onKey = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || writing(event.target) || document.querySelector("dialog[open]")) return;
      if ((event.key !== "j" && event.key !== "k") || stored("konsil-keys") === "off") return;
      const rows = [...this.querySelectorAll("[data-row]")].filter(usable);
      const at = rows.indexOf(document.activeElement?.closest?.("[data-row]"));
      const next = rows[Math.min(rows.length - 1, Math.max(0, at + (event.key === "j" ? 1 : -1)))];
      (next?.matches("a") ? next : next?.querySelector("a"))?.focus();
    };
    document.addEventListener("keydown", this.onKey);
  }
  disconnectedCallback() { document.removeEventListener("keydown", this.onKey); }
}

customElements.define("konsil-theme", Theme);
customElements.define("konsil-live", Live);
customElements.define("konsil-toast", Toast);
customElements.define("konsil-check", Check);
customElements.define("konsil-open", Opener);
customElements.define("konsil-list", List);
customElements.define("konsil-net", Net);
