"""Whole texts as words: what `_text` and `_content` look at.  https://hl7.org/fhir/R4/search.html#content

Words are letters and digits, compared like strings without case and accents. `_text` has those of the narrative,
`_content` those of every text of the resource; identity, `meta` and attached bytes are no texts.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

from fhir_server.search.folding import normalized

WORD = re.compile(r"[^\W_]+")
TAG = re.compile(r"<[^<>]*>")
NO_TEXTS = frozenset({"resourceType", "id", "meta"})
BYTES = "data"
# Of a longer text the beginning is found: PostgreSQL takes a megabyte of words with their places.
MOST_CHARACTERS = 200_000
LONGEST_WORD = 100


def words_of(text: str) -> Iterator[str]:
    """The words of a text as they are compared."""
    for found in WORD.findall(text):
        for word in WORD.findall(normalized(found[:LONGEST_WORD])):
            yield word[:LONGEST_WORD]


def whole_texts(resource: dict[str, Any]) -> tuple[str, str]:
    """The words of the narrative, and those of the whole resource."""
    narrative = resource.get("text")
    div = narrative.get("div") if isinstance(narrative, dict) else None
    return _joined([div] if isinstance(div, str) else []), _joined(_texts(resource))


def _joined(texts: Any) -> str:
    found: list[str] = []
    length = 0
    for text in texts:
        for word in words_of(unescape(TAG.sub(" ", text)) if "<" in text or "&" in text else text):
            length += len(word) + 1
            if length > MOST_CHARACTERS:
                return " ".join(found)
            found.append(word)
    return " ".join(found)


def _texts(resource: dict[str, Any]) -> Iterator[str]:
    """Every text, in the order of the resource."""
    waiting = [value for key, value in reversed(resource.items()) if key not in NO_TEXTS]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting.extend(reversed(value))
        elif isinstance(value, dict):
            waiting.extend(item for key, item in reversed(value.items()) if key != BYTES)
