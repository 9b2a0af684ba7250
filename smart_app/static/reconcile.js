// <konsil-large>: links with [data-large] open in its dialog, with steps to the neighbours. Without script they open as images.
class Large extends HTMLElement {
  connectedCallback() {
    this.links = [...document.querySelectorAll("[data-large]")];
    const dialog = this.querySelector("dialog");
    this.links.forEach((link, at) => link.addEventListener("click", (event) => {
      event.preventDefault();
      this.show(at);
      dialog.showModal();
    }));
    dialog.addEventListener("click", (event) => {
      const step = event.target.closest("[data-step]");
      if (step) this.show(this.at + Number(step.dataset.step));
    });
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) this.show(this.at + step);
    });
    dialog.addEventListener("close", () => this.links[this.at]?.focus());
  }
  show(at) {
    this.at = (at + this.links.length) % this.links.length;
    const image = this.querySelector("img");
    image.src = this.links[this.at].href;
    image.alt = this.links[this.at].getAttribute("aria-label");
  }
}
customElements.define("konsil-large", Large);
document.querySelector("dialog[data-open]")?.showModal();
