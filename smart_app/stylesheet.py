"""Tabler's style sheet with the rules that our pages can use: a sixth of it, so that a first page is painted sooner.

A rule stays when every class that it needs is a word somewhere in templates, scripts or code; what stands in brackets,
as in `:not(.x)`, asks for nothing.  So no class may be put together from pieces: a test looks for that.
"""

import re
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

APP = Path(__file__).parent
SOURCE = APP / "static" / "vendor" / "tabler.min.css"
SPEAKING = ("templates/*.html", "static/*.js", "*.py", "*/*.py")
WORD = re.compile(r"[A-Za-z][\w-]*")
CLASS = re.compile(r"\.((?:\\.|[\w-])+)")
BRACKETS = re.compile(r"\([^()]*\)")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
TOKEN = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[{};]")
NESTING = ("@media", "@supports", "@layer", "@container")


@cache
def sheet() -> tuple[bytes, str]:
    """The style sheet and its ETag.  Raises FileNotFoundError before set-up has fetched Tabler."""
    said = {word for pattern in SPEAKING for file in APP.glob(pattern) for word in WORD.findall(file.read_text())}
    content = trimmed(SOURCE.read_text(encoding="utf-8"), frozenset(said)).encode()
    return content, f'"{sha256(content).hexdigest()[:32]}"'


def trimmed(css: str, words: frozenset[str]) -> str:
    """The rules whose classes are all among the words; the licence at the head stays."""
    head = COMMENT.match(css.removeprefix('@charset "UTF-8";').lstrip())
    kept = "".join(_kept(prelude, body, words) for prelude, body in rules(COMMENT.sub("", css)))
    return f"{head.group(0)}\n{kept}" if head else kept


def rules(css: str) -> Iterator[tuple[str, str | None]]:
    """What stands before each block, and the block; None for a statement without one."""
    depth = start = opened = 0
    for token in TOKEN.finditer(css):
        sign = token.group(0)
        if sign == "{":
            opened, depth = (token.end(), 1) if depth == 0 else (opened, depth + 1)
        elif sign == "}":
            depth -= 1
            if depth == 0:
                yield css[start : opened - 1].strip(), css[opened : token.start()]
                start = token.end()
        elif sign == ";" and depth == 0:
            yield css[start : token.start()].strip(), None
            start = token.end()


def _kept(prelude: str, body: str | None, words: frozenset[str]) -> str:
    if body is None:
        return f"{prelude};"
    if prelude.startswith(NESTING):
        inner = "".join(_kept(*rule, words) for rule in rules(body))
        return f"{prelude}{{{inner}}}" if inner else ""
    if not prelude.startswith("@"):
        prelude = ",".join(each for each in selectors(prelude) if needed(each) <= words)
    return f"{prelude}{{{body}}}" if prelude else ""


def selectors(prelude: str) -> Iterator[str]:
    """The selectors of a list, parted by the commas that stand in no brackets."""
    depth = start = 0
    for at, sign in enumerate(prelude):
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and depth == 0:
            yield prelude[start:at]
            start = at + 1
    yield prelude[start:]


def needed(selector: str) -> set[str]:
    """The classes without which a selector fits nothing."""
    while BRACKETS.search(selector):
        selector = BRACKETS.sub("", selector)
    return {name.replace("\\", "") for name in CLASS.findall(selector)}


async def tabler(request: Request) -> Response:
    """GET /static/tabler.css: browsers keep it for an hour and ask about it afterwards."""
    try:
        content, tag = sheet()
    except FileNotFoundError as error:
        raise HTTPException(404) from error
    headers = {"etag": tag, "cache-control": "public, max-age=3600"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="text/css", headers=headers)
