// Asks every three seconds how the programs are, while the page is looked at.
const list = document.getElementById("programs");

async function look() {
  if (document.hidden) return;
  try {
    const states = await (await fetch("/programs")).json();
    for (const item of list.children) {
      const state = states[item.dataset.name] ?? "unknown";
      item.dataset.state = state;
      item.querySelector(".word").textContent = state;
    }
  } catch {
    for (const item of list.children) item.dataset.state = "";
  }
}

setInterval(look, 3000);
