"""How much each agreement or difference speaks for one person, so that nobody has to guess what a band rests on.  Pure.

A weight is log2(m / u) as in probabilistic record linkage: `m` how often one person's two records look so, `u` how
often those of two people do.  The figures are round ones for adults of one region; they order arrivals and explain a
band, they decide nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log2
from typing import Final, Literal

from dicom_gateway.reconcile import Difference, Verdict, verdict

Band = Literal["same", "probable", "doubtful", "other"]

# keyword -> verdict -> (m, u); what is not here weighs nothing
CHANCES: Final[Mapping[str, Mapping[Verdict, tuple[float, float]]]] = {
    "PatientName": {"same": (0.85, 1 / 2500), "near": (0.10, 1 / 1500), "different": (0.05, 0.998)},
    "PatientBirthDate": {"same": (0.97, 1 / 20000), "near": (0.02, 1 / 1500), "different": (0.01, 0.999)},
    "PatientSex": {"same": (0.995, 0.5), "different": (0.005, 0.5)},
    "PatientID": {"same": (0.95, 1 / 1_000_000), "different": (0.02, 0.999)},
}
TITLES: Final[Mapping[Band, str]] = {
    "same": "Same person",
    "probable": "Probably the same person",
    "doubtful": "Doubtful",
    "other": "Probably another person",
}
DOUBT: Final = 8


@dataclass(frozen=True, slots=True)
class Match:
    """The whole in one band: `score` is the sum of the weights, `sentence` says what to look at."""

    band: Band
    title: str
    score: int
    verdict: Verdict
    sentence: str


def weight(difference: Difference) -> int:
    """What one compared attribute adds."""
    chances = CHANCES.get(difference.keyword, {}).get(difference.verdict)
    return 0 if chances is None else round(log2(chances[0] / chances[1]))


def match_of(differences: Iterable[Difference]) -> Match:
    """Sum the weights; a difference in name, birth date, sex or number keeps the band at doubtful or below."""
    found = list(differences)
    word, sentence = verdict(found)
    score = sum(map(weight, found))
    if word == "same":
        band: Band = "same"
    elif score < DOUBT:
        band = "other"
    else:
        band = "probable" if word == "near" else "doubtful"
    return Match(band, TITLES[band], score, word, sentence)
