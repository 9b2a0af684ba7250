// Behaviour of the reading room.
import { byId, stored, writing } from "/static/elements.js";

const $ = (selector, root = document) => root.querySelector(selector);
const entryOf = (study) => $(`.k-entry:has([data-study="${CSS.escape(study)}"])`);

// <konsil-viewer studies="1.2 3.4">: opens studies in its frame; says that it is opening, and when it does not answer.
class Viewer extends HTMLElement {
  connectedCallback() {
    this.frame = $("iframe", this);
    this.shown = this.getAttribute("studies").split(" ");
    $("[data-again]", this).addEventListener("click", () => this.open(this.shown));
    addEventListener("message", (event) => this.word(event));
    const open = () => this.open(this.shown);
    if (document.hidden) open();
    else requestAnimationFrame(() => setTimeout(open)); // the page paints first
  }
  open(studies, show = "") {
    this.shown = studies;
    this.wanted = show;
    const query = studies.map((each) => `study=${encodeURIComponent(each)}`).join("&");
    this.frame.contentWindow.location.replace(`${this.closest("konsil-reading").getAttribute("viewer")}?${query}`);
    this.state("opening");
    this.timer = setTimeout(() => this.state("failed"), 40000);
  }
  state(name) {
    clearTimeout(this.timer);
    for (const each of this.querySelectorAll("[data-state]")) each.hidden = each.dataset.state !== name;
  }
  word(event) {
    const { konsil, ...said } = event.data ?? {};
    if (event.source !== this.frame.contentWindow || !konsil) return;
    if (konsil === "failed") this.state("failed");
    if (konsil === "ready") {
      this.state("");
      if (this.wanted) this.tell({ konsil: "show", sop: this.wanted });
      this.wanted = "";
    }
    if (konsil === "image") { this.image = said; $("[data-cite-image]")?.removeAttribute("hidden"); this.looked(said); }
  }
  // What opened by itself counts as looked at once somebody has moved through it.
  looked({ study, sop, total }) {
    const seen = (this.seen ??= {})[study] ??= new Set();
    if (seen.add(sop).size >= Math.min(3, total)) this.closest("konsil-reading").reviewed(entryOf(study)?.dataset.cite);
  }
  tell(word) { this.frame.contentWindow.postMessage(word, "*"); }
}

// <konsil-reading>: records open beside, count as reviewed then, and are cited by key, button or drag; panes by key.
class Reading extends HTMLElement {
  connectedCallback() {
    this.form = $("#report");
    this.viewer = $("konsil-viewer");
    this.addEventListener("click", (event) => this.click(event));
    this.addEventListener("input", (event) => { if (event.target.matches("[data-find]")) this.find(event.target.value); });
    this.addEventListener("dragstart", (event) => this.drag(event));
    this.addEventListener("dragover", (event) => { if (this.dragged && event.target.closest("#report")) event.preventDefault(); });
    this.addEventListener("drop", (event) => this.drop(event));
    this.addEventListener("dragend", () => { this.dragged = null; });
    this.addEventListener("focusin", (event) => { if (event.target.matches("[name=findings]")) this.finding = event.target.closest(".k-row"); });
    document.addEventListener("keydown", (event) => this.key(event));
    new MutationObserver(() => this.opened()).observe($("#pane-document"), { childList: true });
    this.drawer();
  }
  click(event) {
    const at = (selector) => event.target.closest(selector);
    const link = at("a[data-open], a[data-study], .k-chip a");
    if (link && !event.ctrlKey && !event.metaKey) { event.preventDefault(); this.open(link); return; }
    if (at("[data-tab]")) this.tab(at("[data-tab]").dataset.tab);
    else if (at("[data-cite-this]")) this.cite(at("[data-cite]"));
    else if (at("[data-cite-image]")) this.citeImage();
    else if (at(".k-chip button")) this.uncite(at(".k-chip"));
    else if (at("[data-add-row]")) this.add(at("[data-rows]"));
    else if (at("[data-gone-row]")) this.remove(at(".k-row"));
    else if (at("[data-jump]")) { event.preventDefault(); this.jump(at("[data-jump]").hash.slice(1)); }
    else if (at("[data-mark]")) this.jump(at("[data-mark]").dataset.mark);
    else if (at("[data-fold]")) this.fold();
  }
  // A citation opens what it names: the image, the value, or the record.
  open(link) {
    const chip = link.closest(".k-chip");
    if (chip) {
      const [record, sop] = chip.dataset.ref.split(/[#;]/);
      const source = $(`[data-cite~="${CSS.escape(record)}"] a[href], a[data-cite~="${CSS.escape(record)}"]`, this);
      if (source?.dataset.study && sop && this.viewer) return this.image(source.dataset.study, sop);
      if (source) return this.open(source);
      return this.load(`${this.getAttribute("viewer").replace(/viewer$/, "labs")}?value=${record}`, "Laboratory");
    }
    const entry = link.closest(".k-entry");
    for (const each of this.querySelectorAll(".k-entry[aria-current]")) each.ariaCurrent = null;
    entry?.setAttribute("aria-current", "true");
    if (entry) this.reviewed(entry.dataset.cite);
    if (link.dataset.study && this.viewer) { this.viewer.open([link.dataset.study]); this.tab("images", link.textContent); }
    else this.load(link.href, link.textContent);
  }
  image(study, sop) {
    this.tab("images");
    if (this.viewer.shown.includes(study)) this.viewer.tell({ konsil: "show", sop });
    else this.viewer.open([study], sop);
  }
  load(url, title) {
    this.tab("document", title);
    $("#pane-document").ariaBusy = true;
    htmx.ajax("GET", url, { target: "#pane-document", swap: "innerHTML" });
  }
  opened() {
    const pane = $("#pane-document"), article = $("article", pane);
    pane.ariaBusy = null;
    if (!article) return;
    this.tab("document", article.dataset.title);
    $(".k-wanted", pane)?.scrollIntoView({ block: "center", inline: "center" });
  }
  tab(name, title) {
    for (const tab of this.querySelectorAll("[data-tab]")) {
      const here = tab.dataset.tab === name;
      tab.ariaSelected = here;
      $(`#pane-${tab.dataset.tab}`).hidden = !here;
      if (here && title) $("[data-title]", tab).textContent = title.trim();
    }
  }
  reviewed(cite = "") {
    const wanted = cite.split(/[ #]/);
    const box = [...this.querySelectorAll("input[name=reviewed]")].find((each) => each.value.split(" ").some((one) => wanted.includes(one)));
    if (!box || box.checked) return;
    box.checked = true;
    this.save();
  }
  save() { this.form?.dispatchEvent(new Event("konsil:save")); }
  // Citing: into the finding that was written last, or a new one.
  cite(source, row) {
    if (!source || !this.form) return;
    for (const ref of source.dataset.cite.split(" ")) this.chip(ref, source.dataset.label, row);
  }
  citeImage() {
    const { study, sop, number, total } = this.viewer.image;
    const entry = entryOf(study);
    if (entry && this.form) this.chip(`${entry.dataset.cite}#${sop};${number};${total}`, `${entry.dataset.label}, image ${number} of ${total}`);
  }
  chip(ref, label, into) {
    const kept = this.finding?.isConnected ? this.finding : null;
    const row = into ?? kept ?? this.empty() ?? this.add($("[data-rows]:has(#findings)"));
    const cites = $("[name=cites]", row), known = cites.value.split(" ").filter(Boolean);
    this.unfold();
    if (!known.includes(ref)) {
      cites.value = [...known, ref].join(" ");
      const chip = byId("chip").content.firstElementChild.cloneNode(true);
      chip.dataset.ref = ref;
      $("a", chip).textContent = label;
      $("button", chip).ariaLabel = `Remove the citation of ${label}`;
      $(".k-chips", row).append(chip);
    }
    this.finding = row;
    $("textarea", row).focus();
    this.reviewed(ref);
    this.save();
  }
  uncite(chip) {
    const row = chip.closest(".k-row"), cites = $("[name=cites]", row);
    cites.value = cites.value.split(" ").filter((each) => each !== chip.dataset.ref).join(" ");
    chip.remove();
    $("textarea", row).focus();
    this.save();
  }
  empty() { return [...$("#findings").children].find((row) => !$("textarea", row).value && !$("[name=cites]", row).value); }
  add(group, after) {
    const row = $("template", group).content.firstElementChild.cloneNode(true);
    if (after) after.after(row); else $("ol", group).append(row);
    $("textarea", row).focus();
    return row;
  }
  remove(row) {
    const group = row.closest("[data-rows]"), next = row.previousElementSibling ?? row.nextElementSibling;
    row.remove();
    if (next) $("textarea", next).focus(); else this.add(group);
    this.save();
  }
  drag(event) {
    this.dragged = event.target.closest?.("[data-cite]");
    if (!this.dragged) return;
    event.dataTransfer.setData("text/plain", this.dragged.dataset.label);
    event.dataTransfer.effectAllowed = "copy";
  }
  drop(event) {
    if (!this.dragged || !event.target.closest("#report")) return;
    event.preventDefault();
    this.cite(this.dragged, event.target.closest(".k-finding"));
  }
  find(words) {
    const parts = words.toLowerCase().split(/\s+/);
    let hits = 0;
    for (const entry of this.querySelectorAll(".k-entry")) {
      const text = entry.textContent.toLowerCase();
      entry.hidden = !parts.every((part) => text.includes(part));
      hits += !entry.hidden;
    }
    for (const each of this.querySelectorAll(".k-month, .k-year")) each.hidden = !$(".k-entry:not([hidden])", each);
    $(".k-none", this).hidden = hits > 0;
  }
  jump(id) {
    const target = byId(id);
    if (!target) return;
    $("dialog[open]", this)?.close();
    if (target.closest("#report")) this.unfold();
    if (target.matches("details")) target.open = true;
    ($(".k-entry a, input:checked, input", target) ?? target).focus({ preventScroll: true });
    target.scrollIntoView({ block: "center" });
  }
  key(event) {
    if (event.key === "F6") {
      const panes = [...this.querySelectorAll("[data-pane]")], here = panes.findIndex((each) => each.contains(document.activeElement));
      event.preventDefault();
      panes.at((here + (event.shiftKey ? -1 : 1)) % panes.length).focus();
      return;
    }
    const row = event.target.closest?.(".k-row");
    if (row && event.target.matches("textarea")) return this.rowKey(event, row);
    if (writing(event.target) || $("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "c") { this.cite(document.activeElement.closest("[data-cite]") ?? $(".k-entry[aria-current]")); event.preventDefault(); }
  }
  // Enter goes on with a new row, Backspace in an empty one takes it away.
  rowKey(event, row) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.add(row.closest("[data-rows]"), row); }
    const alone = row.parentElement.children.length === 1 || event.target.value || $(".k-chip", row);
    if (event.key === "Backspace" && !alone) { event.preventDefault(); this.remove(row); }
  }
  // The drawer: dragged or moved by arrow keys, folded, and as high as it was last time.
  drawer() {
    const grip = $(".k-grip", this), desk = $(".k-desk", this);
    const set = (part) => {
      this.part = Math.round(Math.min(85, Math.max(15, part)));
      desk.style.setProperty("--k-drawer", `${this.part}%`);
      grip.ariaValueNow = this.part;
      stored("konsil-drawer", this.part);
    };
    set(Number(stored("konsil-drawer")) || 42);
    grip.addEventListener("pointerdown", (event) => { grip.setPointerCapture(event.pointerId); this.classList.add("k-dragging"); });
    grip.addEventListener("pointermove", (event) => {
      const box = desk.getBoundingClientRect();
      if (grip.hasPointerCapture(event.pointerId)) { this.unfold(); set((box.bottom - event.clientY) / box.height * 100); }
    });
    grip.addEventListener("lostpointercapture", () => this.classList.remove("k-dragging"));
    grip.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 5, ArrowDown: -5, Home: 85, End: -85 }[event.key];
      if (step) { event.preventDefault(); set(this.part + step); }
    });
  }
  fold(shut = !$("#report-body").hidden) {
    $("#report-body").hidden = shut;
    $("[data-fold]").ariaExpanded = !shut;
    $("#drawer").classList.toggle("k-shut", shut);
  }
  unfold() { this.fold(false); }
}

customElements.define("konsil-viewer", Viewer);
customElements.define("konsil-reading", Reading);
