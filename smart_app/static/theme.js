// Runs before the first paint: the theme the person chose, else the one their system prefers.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("konsil-theme"); } catch { /* storage is blocked: follow the system */ }
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
})();
