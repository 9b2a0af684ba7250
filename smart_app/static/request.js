// Behaviour of the request form: counts follow the ticks, choosing a file chooses its basis, previews open in a dialog.
document.addEventListener("change", (event) => {
  const group = event.target.closest?.(".k-group");
  const count = group?.querySelector("konsil-count");
  if (count) {
    const boxes = [...group.querySelectorAll("input[name=pick]")];
    count.textContent = `${boxes.filter((box) => box.checked).length} of ${boxes.length}`;
  }
  if (event.target.id === "consent-upload") choose("consent");
  if (event.target.name === "attested" && event.target.checked) choose("treatment");
});

function choose(basis) {
  const radio = document.querySelector(`input[name=basis][value=${basis}]`);
  if (radio && !radio.checked) { radio.checked = true; radio.dispatchEvent(new Event("change", { bubbles: true })); }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[target=preview]");
  if (link) document.getElementById("preview").showModal();
});

// The consent was attached by a request of its own: let the form save itself, so that letter and list follow.
document.addEventListener("htmx:after:swap", (event) => {
  if (event.target.id === "consent-file" || event.detail?.ctx?.target?.id === "consent-file") {
    document.getElementById("request").dispatchEvent(new Event("change", { bubbles: true }));
  }
});
