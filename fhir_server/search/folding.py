"""Text as strings are compared: blind to case, accents, width, spaces and the script.  R4 search.html#string

What is not written in Latin letters is kept twice: as written, and in Latin letters (李 as "li", Иван as "ivan"), as
ICU's Any-Latin does it, by the table of anyascii. So a name is found in its own script and in the other one.
"""

import re
import unicodedata
from functools import lru_cache

from anyascii import anyascii

KEPT = 100_000
SPACES = re.compile(r"\s+")
KANA = {katakana: katakana - 0x60 for katakana in range(0x30A1, 0x30F7)}
# Combining classes below it belong to letters (nukta, virama, voicing); those above are accents and vowel points.
FIRST_ACCENT = 10


@lru_cache(maxsize=KEPT)
def folded(text: str) -> tuple[str, str | None]:
    """The text as compared, and the same in Latin letters without spaces where it is written in others."""
    if text.isascii():
        return _spaced(text.lower()), None
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if unicodedata.combining(c) < FIRST_ACCENT)
    plain = unicodedata.normalize("NFC", bare.casefold()).translate(KANA)
    native = _spaced("".join(map(_without_latin_letters, plain)))
    return native, None if native.isascii() else latin(text).replace(" ", "") or None


def latin(text: str) -> str:
    """The text in Latin letters."""
    return _spaced(anyascii(unicodedata.normalize("NFKC", text)).lower())


def normalized(text: str) -> str:
    """The text as compared."""
    return folded(text)[0]


def _spaced(text: str) -> str:
    return SPACES.sub(" ", text).strip()


@lru_cache(maxsize=KEPT)
def _without_latin_letters(character: str) -> str:
    """Letters such as ø and ł, which are Latin without being a letter and an accent, as ASCII."""
    if character.isascii() or not unicodedata.name(character, "").startswith("LATIN"):
        return character
    return anyascii(character).lower() or character
