// The viewer's frame before the viewer is in it.

// <konsil-go>: sends its form as soon as it stands in the page.
class Go extends HTMLElement {
  connectedCallback() { this.querySelector("form").submit(); }
}

// <konsil-failed>: says so to the page around it.
class Failed extends HTMLElement {
  connectedCallback() { if (parent !== window) parent.postMessage({ konsil: "failed" }, location.origin); }
}

customElements.define("konsil-go", Go);
customElements.define("konsil-failed", Failed);
