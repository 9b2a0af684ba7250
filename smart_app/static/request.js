// Behaviour of the request form: counts follow the ticks, choosing a file chooses its basis, previews open in a dialog.
const $ = (selector) => document.querySelector(selector);
const changed = (element) => element.dispatchEvent(new Event("change", { bubbles: true }));

document.addEventListener("change", (event) => {
  if (event.target.name === "pick") count(event.target.closest(".k-group"));
  if (event.target.id === "consent-upload") tooLarge(event) || choose("consent");
  if (event.target.name === "attested" && event.target.checked) choose("treatment");
}, true);

function count(group) {
  const boxes = [...group.querySelectorAll("input[name=pick]")];
  group.querySelector("konsil-count").textContent = `${boxes.filter((box) => box.checked).length} of ${boxes.length}`;
}

function choose(basis) {
  const radio = $(`input[name=basis][value=${basis}]`);
  if (radio && !radio.checked) { radio.checked = true; changed(radio); }
}

// Said before a large file travels: nothing is sent then.
function tooLarge(event) {
  const most = Number($("#consent-form").dataset.megabytes);
  if ((event.target.files[0]?.size ?? 0) <= most * 1024 * 1024) return false;
  event.stopPropagation();
  event.target.value = "";
  let said = $("#consent-problem");
  if (!said) { said = document.createElement("p"); said.id = "consent-problem"; $("#consent-file").prepend(said); }
  said.className = "k-problem k-shown";
  said.role = "alert";
  said.textContent = `The file is larger than ${most} MB. Scan it with fewer dots, or send fewer pages.`;
  return true;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("a[target=preview], [data-tick]");
  if (button?.target === "preview") $("#preview").showModal();
  if (button?.dataset.tick) tick(button.closest(".k-group"), button.dataset.tick);
});

function tick(group, which) {
  for (const box of group.querySelectorAll("input[name=pick]")) box.checked = which === "all" || (which === "sensible" && "sensible" in box.dataset);
  count(group);
  changed(group.querySelector("input[name=pick]"));
}

// Find among the records: groups with a hit open, the rest hides.
document.addEventListener("input", (event) => {
  const list = event.target.dataset?.filter;
  if (!list) return;
  event.stopPropagation();
  const wanted = event.target.value.trim().toLowerCase();
  for (const group of document.querySelectorAll(`${list} .k-group`)) {
    const rows = [...group.querySelectorAll("li")];
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    group.hidden = rows.every((row) => row.hidden);
    if (wanted) group.open = true;
  }
}, true);

// <konsil-seconds>: how long something has been going on.
customElements.define("konsil-seconds", class extends HTMLElement {
  connectedCallback() {
    const since = Date.now();
    this.timer = setInterval(() => { this.textContent = `${Math.round((Date.now() - since) / 1000)} s`; }, 1000);
  }
  disconnectedCallback() { clearInterval(this.timer); }
});

// The consent was attached by a request of its own: let the form save itself, so that letter and list follow.
document.addEventListener("htmx:after:swap", (event) => {
  if (event.target.id === "consent-file" || event.detail?.ctx?.target?.id === "consent-file") changed($("#request"));
});
