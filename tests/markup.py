"""Markup that somebody wrote into a field, and a reader of pages that fails where it became an element.  CWE-79"""

import html
import re
from html.parser import HTMLParser

SCRIPT = "javascript:alert(1)//"
ADDRESSES = {"href", "src", "action", "formaction", "data", "xlink:href", "hx-get", "hx-post"}
RUNS = re.compile(r"[\x00-\x20]*(?:javascript|vbscript|data:(?!image/(?:png|jpeg|svg))).*", re.IGNORECASE | re.DOTALL)
MARK = re.compile(r"\[([A-Z]\w+\.[\w.]+)\]")


def mark(path: str) -> str:
    """Markup that leaves an attribute, a script and an element, and says which field it is of."""
    return f"[{path}]\"'--></script></textarea><xss onmouseover=x>"


def short(path: str) -> str:
    """The same for a value of 64 characters at most in which `=`, `^` and a backslash have a meaning.  PS3.5 6.2"""
    return f"[{path}]\"'><xss a>"


class Page(HTMLParser):
    """Fails on an element or an attribute that came out of a text field."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "xss", self.getpos()
        for name, value in attrs:
            assert not name.startswith(("on", "hx-on")) and name != "srcdoc", (tag, attrs, self.getpos())
            assert name not in ADDRESSES or not RUNS.match(value or ""), (tag, attrs, self.getpos())


def checked(text: str) -> set[str]:
    """Read a page as a browser does; gives the fields that it shows."""
    Page().feed(text)
    return set(MARK.findall(html.unescape(text)))
