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

customElements.define("konsil-live", Live);
