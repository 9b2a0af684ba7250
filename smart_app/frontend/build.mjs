// Copies what browsers need out of node_modules into ../static/vendor, licences with it, and draws one sprite of the icons in use.
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const vendor = join(here, "..", "static", "vendor");

const ICONS = [
  "activity", "alert-triangle", "arrow-back-up", "arrow-down", "arrow-left", "arrow-right", "ban", "book", "building-hospital", "calendar-due",
  "check", "checklist", "chevron-down", "chevron-right", "circle", "circle-check", "circle-dashed", "circle-dot", "clock",
  "cloud-check", "cloud-upload", "device-heart-monitor", "droplet", "edit", "eye", "eye-off", "file-certificate", "file-description",
  "file-text", "files", "flask", "git-compare", "hand-stop", "heartbeat", "help", "history", "hourglass", "id", "inbox", "info-circle",
  "layout-kanban", "link", "list-check", "loader-2", "lock", "logout", "mail", "mail-forward", "medical-cross", "message", "message-question",
  "moon", "notes", "paperclip", "pencil", "photo", "photo-scan", "pill", "player-play", "plus", "refresh", "report", "report-medical", "scan",
  "search", "send", "shield-check", "signature", "stethoscope", "sun", "table", "trash", "upload", "urgent", "user", "user-check",
  "user-question", "users", "vaccine", "x",
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
