// A search of the outside archives: each line of the answer is the whole list, as far as the archives have answered.
// What the person ticked meanwhile stays as it was ticked.
const place = () => document.querySelector("[data-search-address]");
const touched = new Map();
let running = null;

document.addEventListener("change", (event) => {
  if (event.target.name === "study") touched.set(event.target.value, event.target.checked);
}, true);

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-search], [data-stop-search]");
  if (!button || !place()) return;
  event.preventDefault();
  if (button.hasAttribute("data-search")) search();
  else stop();
});

async function search() {
  running?.abort();
  const mine = (running = new AbortController());
  place().replaceChildren(copy("searching"));
  try {
    const fields = document.querySelector("[data-search-criteria]");
    const answer = await fetch(place().dataset.searchAddress, {
      method: "POST", signal: mine.signal, headers: { Accept: "application/x-ndjson", "HX-Request": "true" },
      body: fields ? new URLSearchParams(new FormData(fields)) : undefined,
    });
    if (answer.redirected || !answer.ok) throw new Error(answer.status);
    let next = "";
    for await (const line of lines(answer.body)) {
      if (!next) requestAnimationFrame(() => { if (running === mine && !mine.signal.aborted) show(next); next = ""; });
      next = JSON.parse(line).html;
    }
    if (next) show(next);
  } catch {
    if (mine.signal.aborted) return;
    ended("search-lost");
  }
  place().dispatchEvent(new Event("priors-found", { bubbles: true }));
}

function stop() {
  running?.abort();
  ended("search-stopped");
  place().dispatchEvent(new Event("priors-found", { bubbles: true }));
}

// The archives that were still asked are marked as such no longer.
function ended(why) {
  place().querySelectorAll(".k-spin, .k-loading, [data-stop-search]").forEach((each) => each.remove());
  place().querySelectorAll("button[hidden]").forEach((each) => { each.hidden = false; });
  place().append(copy(why), copy("search-again"));
}

const copy = (id) => document.getElementById(id).content.cloneNode(true);

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (kept + value).split("\n");
    kept = parts.pop();
    yield* parts;
  }
}

function show(html) {
  const focused = document.activeElement?.value;
  place().innerHTML = html;
  for (const box of place().querySelectorAll("input[name=study]")) {
    if (touched.has(box.value)) box.checked = touched.get(box.value);
    if (box.value === focused) box.focus();
  }
}

if (place()?.hasAttribute("data-search-now")) search();
