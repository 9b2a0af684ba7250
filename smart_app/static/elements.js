// Custom elements of our own, one for each behaviour a screen needs. They work on markup that makes sense without them.

class Theme extends HTMLElement {
  connectedCallback() {
    this.querySelector("button").addEventListener("click", () => {
      const root = document.documentElement;
      const theme = root.dataset.bsTheme === "dark" ? "light" : "dark";
      root.dataset.bsTheme = theme;
      try { localStorage.setItem("konsil-theme", theme); } catch { /* not kept then */ }
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
class Opener extends HTMLElement {
  connectedCallback() {
    this.addEventListener("click", () => document.getElementById(this.getAttribute("for"))?.showModal());
  }
}
document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-close]")) event.target.closest("dialog")?.close();
});

// <konsil-list>: j and k move through its links or rows, Enter opens.
class List extends HTMLElement {
  connectedCallback() {
    this.onKey = (event) => {
      if (event.target.closest("input, textarea, select, dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key !== "j" && event.key !== "k") return;
      const rows = [...this.querySelectorAll("[data-row]")];
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
