"""How easily a text reads: Flesch's measure, as a hint beside the words for the patient.  Pure.

Flesch, A new readability yardstick, 1948: 206.835 - 1.015 words a sentence - 84.6 syllables a word.  For English alone.
"""

import re
from dataclasses import dataclass

WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?")
ENDS = re.compile(r"[.!?:;]+\s|[.!?]+$|\n+")
VOWELS = re.compile(r"[aeiouy]+")
LEAST_WORDS = 12


@dataclass(frozen=True, slots=True)
class Ease:
    """The measure, in words, and the longest words, which are the first to replace."""

    score: float
    words: str
    hard: bool
    long: tuple[str, ...]


def ease_of(text: str) -> Ease | None:
    """None while the text is too short to say."""
    found = WORD.findall(text)
    if len(found) < LEAST_WORDS:
        return None
    sentences = max(1, len([part for part in ENDS.split(text) if WORD.search(part)]))
    counts = {word.lower(): syllables(word) for word in found}
    total = sum(counts[word.lower()] for word in found)
    score = 206.835 - 1.015 * len(found) / sentences - 84.6 * total / len(found)
    longest = sorted((word for word, count in counts.items() if count >= 4), key=lambda word: -counts[word])
    return Ease(max(0, min(100, round(score))), *grade(score), tuple(longest[:3]))


def grade(score: float) -> tuple[str, bool]:
    """The measure in words, and whether most patients would find it hard."""
    for least, words in ((70, "Easy to read"), (60, "Plain English"), (50, "A little hard to read")):
        if score >= least:
            return words, score < 60
    return ("Hard to read for most people" if score >= 30 else "Very hard to read"), True


def syllables(word: str) -> int:
    """About how many syllables an English word has."""
    plain = word.lower().rstrip("'’s")
    groups = len(VOWELS.findall(plain))
    silent = plain.endswith("e") and not plain.endswith("le") and groups > 1
    return max(1, groups - silent)
