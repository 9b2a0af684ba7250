"""A person without a mouse: Tab until the thing wanted has the focus and the focus can be seen, then a key."""

from dataclasses import dataclass

from playwright.sync_api import Locator, Page

PRESSES = 250
HAS_FOCUS = "element => element === element.ownerDocument.activeElement"
# The ring: an outline or a shadow; radio and tick boxes that are drawn by their label show it there.
SHOWS_FOCUS = """element => {
  const drawn = each => { const style = getComputedStyle(each);
    return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none'; };
  return [element, element.nextElementSibling, element.parentElement].some(each => each && drawn(each));
}"""
IN_VIEW = """element => {
  const own = element.getBoundingClientRect();
  const box = own.width > 4 || !element.labels?.length ? own : element.labels[0].getBoundingClientRect();
  return box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
}"""


@dataclass
class Keyboard:
    """One person's keyboard at one page."""

    page: Page

    def reach(self, wanted: Locator) -> None:
        """Tab, and if need be back, until `wanted` has the focus; it must be seen there."""
        wanted.wait_for(state="attached")
        for press in range(PRESSES):
            if wanted.evaluate(HAS_FOCUS):
                self.settle(wanted)
                assert wanted.evaluate(SHOWS_FOCUS), f"nothing shows the focus at {wanted}"
                return
            self.page.keyboard.press("Tab" if press < PRESSES - 50 else "Shift+Tab")
        raise AssertionError(f"Tab does not reach {wanted}; the focus is at {self.where()}")

    def settle(self, wanted: Locator) -> None:
        """The browser scrolls to what got the focus with the next frame that it draws."""
        for _ in range(20):
            if wanted.evaluate(IN_VIEW):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"the focus is out of sight at {wanted}")

    def where(self) -> str:
        """What has the focus, for messages."""
        for frame in reversed(self.page.frames):
            found = frame.evaluate("() => document.activeElement?.outerHTML?.slice(0, 120) ?? ''")
            if found and not found.startswith(("<body", "<iframe")):
                return str(found)
        return "the page itself"

    def press(self, wanted: Locator, key: str = "Enter") -> None:
        """Reach it and press a key: Enter for links and buttons, Space for tick boxes."""
        self.reach(wanted)
        self.page.keyboard.press(key)

    def write(self, field: Locator, text: str) -> None:
        """Reach a field and type, in the place of what it holds."""
        self.reach(field)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def choose(self, group: Locator, wanted: Locator) -> None:
        """Reach a group of radio buttons and move by arrows until the wanted one is chosen."""
        radios = group.get_by_role("radio")
        first = radios.first
        checked = [radio for radio in radios.all() if radio.is_checked()]
        self.reach(checked[0] if checked else first)
        self.page.keyboard.press("Space")
        for _ in range(radios.count()):
            if wanted.is_checked():
                return
            self.page.keyboard.press("ArrowDown")
        assert wanted.is_checked(), f"arrows do not choose {wanted}"

    def select(self, field: Locator, label: str) -> None:
        """Reach a select and choose by typing its words."""
        self.reach(field)
        self.page.keyboard.type(label)
        chosen = field.evaluate("element => element.selectedOptions[0]?.textContent.trim() ?? ''")
        assert chosen.startswith(label), f"typing chose {chosen!r}, not {label!r}"
