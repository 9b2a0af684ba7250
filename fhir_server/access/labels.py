"""Security labels that ask for more than a case: one table.  https://hl7.org/fhir/R4/security-labels.html

Who has a role of its line sees a resource with the label, within what the policy gives anyway; a consultant sees it
only where the patient's Consent names the label (`consent.py`). A treatment basis is never enough for one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
NORMAL = (CONFIDENTIALITY, "N")
"""What a resource without a label of the table is, when a provision names it."""
Token = tuple[str, str]

KEEPERS = frozenset({"requester", "interface-engine", "him", "system", "administrator", "privacy-officer"})
"""Who treats the patient or keeps the record: the own organization, HIM staff, the machines of the platform."""
WITH_PATIENT = KEEPERS | {"patient"}


@dataclass(frozen=True, slots=True)
class Label:
    """One code, what it means, the rule behind it, and the roles that need no Consent for it; `emergency`: whether
    emergency access opens it.
    """

    system: str
    code: str
    title: str
    rule: str
    roles: frozenset[str]
    emergency: bool = True

    @property
    def token(self) -> Token:
        """System and code."""
        return self.system, self.code


LABELS = (
    Label(CONFIDENTIALITY, "R", "restricted", "45 CFR 164.522(a)", WITH_PATIENT),
    Label(CONFIDENTIALITY, "V", "very restricted", "45 CFR 164.522(a)", WITH_PATIENT),
    Label(ACT_CODE, "ETH", "substance use", "42 CFR Part 2", WITH_PATIENT),
    Label(ACT_CODE, "ETHUD", "alcohol use disorder", "42 CFR Part 2", WITH_PATIENT),
    Label(ACT_CODE, "OPIOIDUD", "opioid use disorder", "42 CFR Part 2", WITH_PATIENT),
    Label(ACT_CODE, "SUD", "substance use disorder", "42 CFR Part 2", WITH_PATIENT),
    Label(ACT_CODE, "PSY", "psychiatry", "laws on mental health", WITH_PATIENT),
    Label(ACT_CODE, "MH", "mental health", "laws on mental health", WITH_PATIENT),
    Label(ACT_CODE, "BH", "behavioural health", "laws on mental health", WITH_PATIENT),
    Label(ACT_CODE, "PSYTHPN", "psychotherapy notes", "45 CFR 164.508(a)(2)", KEEPERS, emergency=False),
    Label(ACT_CODE, "HIV", "HIV or AIDS", "laws on HIV", WITH_PATIENT),
    Label(ACT_CODE, "STD", "sexually transmitted disease", "laws on communicable disease", WITH_PATIENT),
    Label(ACT_CODE, "SEX", "sexuality and reproductive health", "laws on reproductive health", WITH_PATIENT),
    Label(ACT_CODE, "SDV", "sexual assault, abuse, domestic violence", "45 CFR 164.512(c)", KEEPERS),
)
SENSITIVE: frozenset[Token] = frozenset(label.token for label in LABELS)
BITS = {(system, code.casefold()): 1 << n for n, (system, code) in enumerate(label.token for label in LABELS)}
"""One bit for each label, as `resource.labels` has them: the table only grows at its end."""


def bits_of(tokens: Iterable[Token]) -> int:
    """The labels among these tokens; the codes as the index has them, without case."""
    found = 0
    for token in tokens:
        found |= BITS.get(token, 0)
    return found


def closed_to(roles: Iterable[str]) -> tuple[Token, ...]:
    """The labels that none of these roles may see by itself."""
    held = frozenset(roles)
    return tuple(sorted(label.token for label in LABELS if not held & label.roles))


def closed_in_emergency() -> tuple[Token, ...]:
    """The labels that emergency access leaves closed."""
    return tuple(sorted(label.token for label in LABELS if not label.emergency))
