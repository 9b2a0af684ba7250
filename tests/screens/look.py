"""Looking at a page as it stands: axe-core in light and dark, nothing cut off down to 320 pixels, a picture of each."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Frame, Page

ROOT = Path(__file__).resolve().parent.parent.parent
AXE = ROOT / "smart_app" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
WIDE, TABLET, NARROW = (1440, 900), (768, 1024), (320, 800)

# Runs in each of our frames by itself: axe's own way through frames needs scripts in them to talk to each other.
RUN = """async (tags) => {
  const wanted = {iframes: false, resultTypes: ['violations'], runOnly: {type: 'tag', values: tags}};
  const found = await axe.run(document, wanted);
  return found.violations.flatMap(each => each.nodes.map(node => ({
    rule: each.id, help: each.help, target: node.target.join(' '), html: node.html.slice(0, 160),
    why: (node.failureSummary || '').replace(/\\s+/g, ' ').slice(0, 260)})));
}"""
OVERFLOW = """() => {
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room) return [];
  const wide = [...document.body.querySelectorAll('*')].filter(each => each.getBoundingClientRect().right > room + 1);
  return wide.slice(-3).map(each => each.outerHTML.slice(0, 120));
}"""
# Chromium keeps `light-dark()` colours half-way after a change in place; showing the page anew brings the right ones.
THEME = """theme => {
  const root = document.documentElement, at = [scrollX, scrollY], focused = document.activeElement;
  if (root.dataset.bsTheme) root.dataset.bsTheme = theme;
  root.style.display = 'none'; root.offsetHeight; root.style.display = '';
  focused?.focus({preventScroll: true}); scrollTo(...at);
}"""
CALM = """() => {
  const style = document.createElement('style');
  style.textContent = '*{transition:none!important;animation:none!important;caret-color:transparent!important}';
  document.head.append(style);
}"""


def pictures() -> Path | None:
    """Where pictures go; nowhere unless KONSIL_PICTURES says where."""
    folder = os.environ.get("KONSIL_PICTURES")
    return Path(folder) if folder else None


@dataclass
class Looker:
    """Collects what is wrong with the pages it looks at, so that one run names everything."""

    viewer: str
    problems: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def ours(self, page: Page) -> list[Frame]:
        """The frames with pages of ours; the image viewer and documents in frames are not."""
        return [
            frame
            for frame in page.frames
            if frame.url.startswith("http") and not frame.url.startswith(self.viewer) and not is_document(frame)
        ]

    def look(self, page: Page, name: str, narrow: bool = True) -> None:
        """The page as it stands, in both themes and three widths; it is left wide and light."""
        assert name not in self.seen, f"two looks of one name: {name}"
        self.seen.append(name)
        settle(page)
        for frame in self.ours(page):
            attempt(frame, CALM)
        self.picture(page, name)
        self.check(page, f"{name}, light")
        self.theme(page, "dark")
        self.picture(page, f"{name}-dark")
        self.check(page, f"{name}, dark")
        self.theme(page, "light")
        for width, height in (TABLET, NARROW) if narrow else ():
            page.set_viewport_size({"width": width, "height": height})
            settle(page)
            self.follow(page, width)
            self.picture(page, f"{name}-{width}")
            self.fits(page, f"{name}, {width} px")
            if width == NARROW[0]:
                self.check(page, f"{name}, {width} px")
        page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        settle(page)

    def follow(self, page: Page, width: int) -> None:
        """Until the frames, which are processes of their own, are as narrow as the window."""
        for frame in self.ours(page):
            for _ in range(40):
                if (attempt(frame, "() => innerWidth") or 0) <= width:
                    break
                page.wait_for_timeout(50)

    def theme(self, page: Page, theme: str) -> None:
        """Light or dark, for pages that follow the system and for those where it was chosen."""
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        for frame in self.ours(page):
            frame.wait_for_load_state("load")  # a frame on its way to another page would come back as it was
            attempt(frame, THEME, theme)
        page.wait_for_timeout(120)

    def check(self, page: Page, where: str) -> None:
        """What axe-core finds, in each frame of ours."""
        for frame in self.ours(page):
            if attempt(frame, "() => typeof axe") != "object":
                attempt(frame, AXE.read_text(encoding="utf-8"))
            for each in attempt(frame, RUN, list(TAGS)) or []:
                self.problems.append(
                    f"{where}: {each['rule']} ({each['help']}): {each['target']}\n    {each['html']}\n    {each['why']}"
                )

    def fits(self, page: Page, where: str) -> None:
        """Nothing scrolls sideways."""
        for frame in self.ours(page):
            cut = attempt(frame, OVERFLOW)
            if cut:
                self.problems.append(f"{where}: wider than the window at {path_of(frame)}: {cut}")

    def picture(self, page: Page, name: str) -> None:
        """A picture, if they are wanted."""
        folder = pictures()
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name}.png")


def is_document(frame: Frame) -> bool:
    """Whether a frame shows a document of somebody else's: PDF, text, a record's own page, a blank one."""
    return bool(re.search(r"/documents/|/preview/|/file($|\?)|\.pdf", frame.url))


def path_of(frame: Frame) -> str:
    """The address without host and ids."""
    return re.sub(r"/l/[^/]+", "/l/…", re.sub(r"^https?://[^/]+", "", frame.url))


def attempt(frame: Frame, script: str, argument: Any = None) -> Any:
    """Run a script in a frame; nothing when the frame is on its way to another page."""
    try:
        return frame.evaluate(script, argument)
    except Error as error:
        if "context was destroyed" in error.message or "detached" in error.message:
            return None
        raise


def settle(page: Page) -> None:
    """Until nothing loads any more, as far as that ever happens with live pages, and the layout has followed."""
    page.wait_for_load_state("load")
    page.wait_for_timeout(250)
