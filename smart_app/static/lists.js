// <konsil-board>: arrow keys move between its cards; the key o belongs to the card one is at. (j and k are <konsil-list>'s.)
class Board extends HTMLElement {
  connectedCallback() {
    this.onKey = (event) => {
      if (event.target.closest("input, textarea, select, dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
      const card = document.activeElement?.closest?.("[data-row]");
      const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (!step || !(card || document.activeElement === document.body)) return;
      const lanes = [...this.querySelectorAll(".k-column")].map((lane) => [...lane.querySelectorAll("[data-row]")]).filter((lane) => lane.length);
      const x = lanes.findIndex((lane) => lane.includes(card));
      const lane = lanes[x < 0 ? 0 : Math.min(lanes.length - 1, Math.max(0, x + step[0]))];
      const y = x < 0 ? 0 : lanes[x].indexOf(card) + step[1];
      const next = lane?.[Math.min(lane.length - 1, Math.max(0, y))];
      if (!next) return;
      event.preventDefault();
      next.querySelector("a").focus();
    };
    document.addEventListener("keydown", this.onKey);
    this.addEventListener("focusin", (event) => {
      for (const each of this.querySelectorAll("[data-offer][data-key]")) { delete each.dataset.key; each.removeAttribute("aria-keyshortcuts"); }
      const offer = event.target.closest("[data-row]")?.querySelector("[data-offer]");
      if (offer) { offer.dataset.key = "o"; offer.setAttribute("aria-keyshortcuts", "o"); }
    });
  }
  disconnectedCallback() { document.removeEventListener("keydown", this.onKey); }
}

// <konsil-sheet>: its dialog opens when HTMX has put something into it; focus goes back to where it was.
class Sheet extends HTMLElement {
  connectedCallback() {
    const dialog = this.querySelector("dialog");
    new MutationObserver(() => {
      if (dialog.open || !dialog.textContent.trim()) return;
      const from = document.activeElement;
      dialog.showModal();
      dialog.addEventListener("close", () => from?.focus(), { once: true });
    }).observe(dialog.firstElementChild, { childList: true });
  }
}
customElements.define("konsil-board", Board);
customElements.define("konsil-sheet", Sheet);
