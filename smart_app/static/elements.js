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

// <konsil-once>: a form in it is sent once; its buttons say so and wait.
class Once extends HTMLElement {
  connectedCallback() {
    this.addEventListener("submit", (event) => {
      if (this.busy) { event.preventDefault(); return; }
      this.busy = true;
      for (const button of this.querySelectorAll("button[type=submit], button:not([type])")) {
        button.classList.add("btn-loading");
        setTimeout(() => { button.disabled = true; }, 0);
      }
    });
    window.addEventListener("pageshow", () => {
      this.busy = false;
      for (const button of this.querySelectorAll(".btn-loading")) { button.disabled = false; button.classList.remove("btn-loading"); }
    });
  }
}

// <konsil-dialog for="id">: opens the <dialog> of that id; buttons with [data-close] inside close it.
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
customElements.define("konsil-once", Once);
customElements.define("konsil-open", Opener);
customElements.define("konsil-list", List);
