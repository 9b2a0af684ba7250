// Asks every three seconds how the programs and the cases in the making are, while the page is looked at.
const programs = document.getElementById("programs");
const cases = document.getElementById("cases");

function show({ programs: states, cases: making }) {
  for (const item of programs.querySelectorAll("li")) {
    const state = states[item.dataset.name] ?? "unknown";
    item.dataset.state = state;
    item.querySelector(".word").textContent = state;
  }
  const all = Object.values(states);
  const up = all.filter((state) => state !== "not answering").length;
  programs.querySelector(".dot").classList.toggle("off", up < all.length);
  programs.querySelector(".sum").textContent = `${up} of ${all.length} programs running`;
  cases.hidden = !making.text;
  const text = cases.querySelector("span");
  if (text.textContent !== making.text) text.textContent = making.text;
  Object.assign(cases.querySelector("progress"), { max: making.of, value: making.done });
}

async function look() {
  if (document.hidden) return;
  try {
    show(await (await fetch("/programs")).json());
  } catch {
    programs.querySelector(".dot").classList.add("off");
    programs.querySelector(".sum").textContent = "The EHR does not answer";
  }
}

setInterval(look, 3000);
