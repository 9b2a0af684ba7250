// Copies what browsers need out of node_modules into ../static/vendor, licences with it, and draws one sprite of the icons in use.
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const vendor = join(here, "..", "static", "vendor");

const ICONS = [
  "activity", "adjustments", "alert-circle", "alert-triangle", "archive", "arrow-back-up", "arrow-down", "arrow-left", "arrow-right",
  "arrow-up", "arrows-sort", "ban", "bell", "bone", "book", "brain", "building", "building-hospital", "calendar", "calendar-due", "check",
  "checklist", "checks", "chevron-down", "chevron-left", "chevron-right", "chevron-up", "circle", "circle-check", "circle-dashed",
  "circle-dot", "circle-minus", "circle-x", "clock", "clock-exclamation", "clock-pause", "cloud-check", "cloud-upload", "columns",
  "command", "compass", "copy", "corner-down-right", "database", "device-desktop", "device-heart-monitor", "door-exit", "dots",
  "dots-vertical", "download", "droplet", "edit", "external-link", "eye", "eye-off", "file-certificate", "file-description", "file-text",
  "files", "filter", "flask", "folder", "folder-open", "git-compare", "git-merge", "hand-move", "hand-stop", "heartbeat", "help",
  "history", "history-toggle", "home", "hourglass", "id", "inbox", "info-circle", "keyboard", "language", "layout-kanban",
  "layout-sidebar", "link", "list-check", "list-details", "loader-2", "lock", "login", "logout", "lungs", "mail", "mail-forward", "map-2",
  "medical-cross", "menu-2", "message", "message-question", "messages", "microscope", "moon", "notes", "paperclip", "pencil", "photo",
  "photo-off", "photo-scan", "photo-search", "pill", "player-pause", "player-play", "player-skip-forward", "player-stop", "plug",
  "plug-connected-x", "plug-off", "plus", "printer", "quote", "refresh", "report", "report-medical", "rotate", "scan", "search",
  "selector", "send", "server", "settings", "shield-check", "shield-lock", "signature", "stack-2", "star", "stethoscope", "sun", "table",
  "text-plus", "transfer", "trash", "upload", "urgent", "user", "user-check", "user-question", "user-search", "user-x", "users",
  "users-group", "vaccine", "vector-triangle", "wifi-off", "world", "x", "zoom-in",
];

function copy(from, to) {
  mkdirSync(dirname(join(vendor, to)), { recursive: true });
  cpSync(join(modules, from), join(vendor, to));
}

function sprite() {
  const symbols = ICONS.map((name) => {
    const svg = readFileSync(join(modules, "@tabler/icons/icons/outline", `${name}.svg`), "utf8");
    const body = svg.slice(svg.indexOf(">") + 1, svg.lastIndexOf("</svg>")).replace(/\s+/g, " ").trim();
    return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${body}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`;
}

rmSync(vendor, { recursive: true, force: true });
copy("@tabler/core/dist/css/tabler.min.css", "tabler.min.css");
copy("@tabler/core/README.md", "licences/tabler-core.md");  // the package ships no licence file: MIT stands in its readme and in the head of the style sheet
copy("htmx.org/dist/htmx.min.js", "htmx.min.js");
copy("htmx.org/LICENSE", "licences/htmx.txt");
copy("@tabler/icons/LICENSE", "licences/tabler-icons.txt");
copy("@fontsource-variable/inter/LICENSE", "licences/inter.txt");
copy("@fontsource-variable/inter/index.css", "inter/index.css");
const fonts = join("@fontsource-variable/inter", "files");
for (const file of readdirSync(join(modules, fonts))) {
  if (file.endsWith("-wght-normal.woff2")) copy(join(fonts, file), join("inter", "files", file));
}
// Noto Sans in two weights: for the PDF of a report, and for names in scripts that Inter lacks.
for (const family of ["noto-sans", "noto-sans-sc", "noto-sans-arabic"]) {
  const folder = join("@expo-google-fonts", family);
  for (const weight of ["400Regular", "600SemiBold"]) {
    const file = readdirSync(join(modules, folder, weight)).find((name) => name.endsWith(".ttf"));
    copy(join(folder, weight, file), join("fonts", file));
  }
  copy(join(folder, "LICENSE_FONT"), `licences/${family}.txt`);
}
writeFileSync(join(vendor, "icons.svg"), sprite());
for (const [family, name] of [["noto-sans", "NotoSans"], ["noto-sans-sc", "NotoSansSC"], ["noto-sans-arabic", "NotoSansArabic"]]) {  // the PDF's
  for (const weight of ["400Regular", "600SemiBold"]) copy(`@expo-google-fonts/${family}/${weight}/${name}_${weight}.ttf`, `fonts/${name}_${weight}.ttf`);
  copy(`@expo-google-fonts/${family}/LICENSE_FONT`, `licences/${family}.txt`);
}
