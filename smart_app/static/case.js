// <konsil-print>: its button prints the page.
class Print extends HTMLElement {
  connectedCallback() { this.querySelector("button").addEventListener("click", () => window.print()); }
}
customElements.define("konsil-print", Print);
