// Behaviour of the reading room.

// <konsil-go>: sends its form as soon as it stands in the page.
class Go extends HTMLElement {
  connectedCallback() { this.querySelector("form").submit(); }
}

// <konsil-reading>: what is opened counts as reviewed; a cite button puts [n] where the cursor is in the findings.
class Reading extends HTMLElement {
  connectedCallback() {
    this.addEventListener("click", (event) => {
      const opened = event.target.closest("[data-record]");
      if (opened) this.reviewed(opened.dataset.record);
      const cite = event.target.closest("[data-cite]");
      if (cite) this.cite(cite.dataset.cite);
    });
  }
  reviewed(reference) {
    const box = [...this.querySelectorAll("input[name=reviewed]")].find((each) => each.value === reference);
    if (!box || box.checked) return;
    box.checked = true;
    box.dispatchEvent(new Event("change", { bubbles: true }));
  }
  cite(number) {
    const field = this.querySelector("[data-citable]");
    if (!field) return;
    const at = field.selectionStart ?? field.value.length;
    const before = field.value.slice(0, at);
    const mark = `${before && !before.endsWith(" ") ? " " : ""}[${number}]`;
    field.setRangeText(mark, at, field.selectionEnd ?? at, "end");
    field.focus();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

customElements.define("konsil-go", Go);
customElements.define("konsil-reading", Reading);
