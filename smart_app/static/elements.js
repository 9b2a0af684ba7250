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

// An empty search or filter has no place in the address.
document.addEventListener("htmx:config:request", (event) => {
  const { sourceElement, request } = event.detail.ctx;
  if (sourceElement.matches(".k-list-tools")) for (const [name, value] of [...request.body]) if (!value) request.body.delete(name);
});

// <konsil-open for="id">: opens the <dialog> of that id; buttons with [data-close] inside close it.
export const byId = (id) => document.getElementById(id);
function open(dialog) {
  document.querySelector(":popover-open")?.hidePopover();
  if (!dialog || dialog.open) return;
  dialog.showModal();
  if (/^(palette|keys)$/.test(dialog.id)) import("/static/palette.js").then((it) => it.opened(dialog));
}
class Opener extends HTMLElement {
  connectedCallback() { this.addEventListener("click", () => open(byId(this.getAttribute("for")))); }
}
document.addEventListener("click", (event) => {
  const dialog = event.target.closest?.("dialog");
  if (dialog && (event.target === dialog || event.target.closest("[data-close]"))) dialog.close();
});

// Keys (what the dialogs show is palette.js): Ctrl K or / finds, ? lists the keys, and data-key="a" on a button, link or field makes a its key.
export const stored = (name, value) => {
  try { return value === undefined ? localStorage.getItem(name) : localStorage.setItem(name, value); } catch { return null; }
};
export const usable = (each) => each.checkVisibility?.({ visibilityProperty: true }) && !each.disabled;
export const keyed = () => [...document.querySelectorAll("[data-key]")].filter(usable);
export const writing = (target) => target.closest?.("input:not([type=checkbox],[type=radio]), textarea, select, [contenteditable]");
export function use(target) { if (target.matches("input, textarea, select")) target.focus(); else target.click(); }

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

// <konsil-net>: says when the line is down or the sign-in has ended, keeps what was not saved and saves it when it can.
class Net extends HTMLElement {
  connectedCallback() {
    this.unsaved = new Set();
    this.line = this.querySelector(".k-net");
    this.dialog = this.querySelector("dialog");
    document.addEventListener("htmx:error", ({ detail: { ctx } }) => { if (ctx?.request && !ctx.response) this.lost(ctx, "No connection"); });
    document.addEventListener("htmx:before:response", (event) => {
      const { ctx } = event.detail, { status } = ctx.response, saves = ctx.sourceElement.matches("[data-autosave]");
      if (status === 401) { this.keep(ctx); open(this.dialog); this.later(); }
      else if (status >= 500 && saves) this.lost(ctx, "A server does not answer");
      else { this.saved(ctx); this.back(); return; }
      event.preventDefault();
    });
    window.addEventListener("offline", () => this.silent("No connection"));
    window.addEventListener("online", () => this.ask());
    window.addEventListener("focus", () => { if (this.waiting) this.ask(); });
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.ask(true); });  // back, perhaps after a sign-out
    window.addEventListener("beforeunload", (event) => { if (this.unsaved.size) event.preventDefault(); });
    this.last();
    this.busy();
  }
  keep({ sourceElement }) {
    this.waiting = true;
    if (!sourceElement.matches("[data-autosave]")) return;
    this.unsaved.add(sourceElement);
    for (const each of document.querySelectorAll(".k-saved")) each.textContent = "Not saved yet";
  }
  lost(ctx, why) { this.keep(ctx); this.silent(why); this.later(); }
  silent(why) { this.say(`${why}. What you wrote is kept on this page and sent when it is back.`); }
  say(words) { this.line.textContent = words; this.line.hidden = !words; }
  later() { clearTimeout(this.timer); this.timer = setTimeout(() => this.ask(), 3000); }
  async ask(shown) {
    const answer = await fetch(this.getAttribute("ping"), { headers: { "HX-Request": "true" } }).catch(() => null);
    if (answer?.status === 204) this.back();
    else if (answer?.status === 401 && shown) location.reload();
    else if (answer?.status === 401) { this.say(""); if (this.waiting) this.later(); }
    else this.later();
  }
  back() {
    if (!this.unsaved.size) this.say("");
    if (!this.waiting) return;
    this.waiting = false;
    clearTimeout(this.timer);
    this.dialog.close();
    for (const each of this.unsaved) if (each.isConnected) each.dispatchEvent(new Event("change", { bubbles: true })); else this.unsaved.delete(each);
  }
  saved({ sourceElement }) {
    const form = sourceElement.form ?? sourceElement;
    this.unsaved.delete(sourceElement);
    if (form.typed === "sent") form.typed = "";
  }
  last() {  // words typed in the moment before the page is left
    document.addEventListener("input", ({ target }) => { if (target.form) target.form.typed = "yes"; });
    document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => { if (ctx.sourceElement.matches("[data-autosave]")) (ctx.sourceElement.form ?? ctx.sourceElement).typed &&= "sent"; });
    window.addEventListener("pagehide", () => {
      for (const each of document.querySelectorAll("[data-autosave]")) {
        const form = each.form ?? each;
        if (form.typed && !form.dataset.sent) navigator.sendBeacon(each.getAttribute("hx-post"), new FormData(form));
      }
    });
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
customElements.define("konsil-toast", Toast);
customElements.define("konsil-open", Opener);
customElements.define("konsil-list", List);
customElements.define("konsil-net", Net);
