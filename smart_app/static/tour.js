const shown = (each) => each.checkVisibility?.({ visibilityProperty: true });
// What a step speaks of: the first of its selectors that something shown fits.
const place = (step) => step.dataset.at.split(/,\s*/).flatMap((each) => [...document.querySelectorAll(each)]).find(shown);

// <konsil-tour>: one step after the other, beside what it speaks of; what is not on this page is left out.
class Tour extends HTMLElement {
  connectedCallback() {
    this.steps = [...this.children].filter((each) => each.dataset.at && place(each));
    this.addEventListener("click", (event) => {
      const deed = event.target.closest("[data-tour]")?.dataset.tour;
      if (deed === "leave" || (deed === "next" && this.at === this.steps.length - 1)) this.leave();
      else if (deed) this.show(this.at + (deed === "next" ? 1 : -1));
    });
    this.addEventListener("keydown", (event) => { if (event.key === "Escape") this.leave(); });
    // A press stays where it began, whatever comes into the page above meanwhile: else its click meets nothing.
    this.addEventListener("pointerdown", () => { this.pressed = true; });
    for (const end of ["pointerup", "pointercancel"])
      addEventListener(end, () => { this.pressed = false; }, { capture: true });
    addEventListener("resize", () => { if (this.target) this.show(this.at); });
    addEventListener("scroll", () => { if (this.target) this.place(); }, { capture: true, passive: true });
    if (this.steps.length) this.show(0);
  }
  show(at) {
    this.at = at;
    this.hidden = false;
    for (const each of this.children) if (each.dataset.at) each.hidden = each !== this.steps[at];
    this.querySelector(".k-tour-place").textContent = `${at + 1} of ${this.steps.length}`;
    this.querySelector("[data-tour=back]").disabled = !at;
    this.querySelector("[data-tour=next]").textContent = at === this.steps.length - 1 ? "Done" : "Next";
    document.querySelector(".k-tour-here")?.classList.remove("k-tour-here");
    this.target = place(this.steps[at]);
    this.target.classList.add("k-tour-here");
    // What is higher than half the window, or on a narrow one, goes to the top: the step then fits below its heading.
    const tall = this.target.offsetHeight > innerHeight / 2 || innerWidth < 800;
    this.target.scrollIntoView({ block: tall ? "start" : "nearest", behavior: "instant" });
    this.place();
  }
  place() {
    if (this.pressed) return;
    const box = this.target.getBoundingClientRect(), own = this.getBoundingClientRect(), gap = 12;
    const room = innerHeight - own.height - gap;
    const right = box.right + gap + own.width < innerWidth, above = box.top - own.height - gap;
    const top = right ? box.top : box.bottom < room || above < gap ? box.bottom + gap : above;
    const left = right ? box.right + gap : box.left;
    this.style.top = `${Math.max(gap, Math.min(top, room))}px`;
    this.style.left = `${Math.max(gap, Math.min(left, innerWidth - own.width - gap))}px`;
  }
  leave() {
    document.querySelector(".k-tour-here")?.classList.remove("k-tour-here");
    fetch(this.getAttribute("leave"), { method: "POST" }).catch(() => null);
    this.remove();
  }
}

customElements.define("konsil-tour", Tour);
