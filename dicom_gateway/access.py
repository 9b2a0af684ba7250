"""Who may see which study: what FHIR shows to the caller's own token, else nothing.  The gateway parses no scopes.

A decision is kept 4 s for each (token, study); a process of the FHIR server keeps its own for 1: these are the 5 s that
"at once" means when access ends.  Concurrent questions about the same pair are asked once.  The FHIR server is the only
judge, so its consent, roles and quarantine hold here too.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import httpx

from dicom_gateway.publish.fhir import Bearer, FhirClient, FhirError
from konsil.oauth_client import Introspection

DECISION_SECONDS = 4.0
SYSTEM_UID = "urn:dicom:uid"
ALL = "*"


class TokenRefused(Exception):
    """The FHIR server does not know the token, or it has ended."""


def token_hash(token: str) -> str:
    """How a token is known in memory and in tables: never by itself."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Grant:
    """What a caller may ask of the doors: everything (`studies` None, an archive's own door) or these studies.

    `token`: whose it is.
    """

    studies: frozenset[str] | None
    token: str = field(default="", repr=False)

    def shows(self, study_instance_uid: str) -> bool:
        """Whether the study is among them."""
        return self.studies is None or study_instance_uid in self.studies


@dataclass
class Decisions:
    """Answers of `ask`, each kept a few seconds, each asked once however many threads wait for it."""

    ask: Callable[[str, str], frozenset[str]]
    seconds: float = DECISION_SECONDS
    clock: Callable[[], float] = time.monotonic
    _known: dict[tuple[str, str], tuple[float, Future[frozenset[str]]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, token: str, study: str) -> frozenset[str]:
        """The studies that FHIR shows to this token when asked for `study`, or for all of them (`*`)."""
        key = (token_hash(token), study)
        with self._lock:
            known = self._known.get(key)
            if known is not None and known[0] > self.clock():
                future, mine = known[1], False
            else:
                future, mine = Future(), True
                self._forget()
                self._known[key] = (self.clock() + self.seconds, future)
        if mine:
            self._resolve(key, token, study, future)
        return future.result()

    def _resolve(self, key: tuple[str, str], token: str, study: str, future: Future[frozenset[str]]) -> None:
        """Ask, and hand the answer or the error to everyone who waits; errors are not kept."""
        try:
            future.set_result(self.ask(token, study))
        except (TokenRefused, FhirError, httpx.HTTPError) as error:
            future.set_exception(error)
            with self._lock:
                self._known.pop(key, None)
        finally:
            future.cancel()

    def _forget(self) -> None:
        now = self.clock()
        for key in [key for key, (until, _) in self._known.items() if until <= now]:
            del self._known[key]


@dataclass(frozen=True)
class Access:
    """Asks the FHIR server, with the caller's token, which studies it shows."""

    fhir: FhirClient
    introspection: Introspection | None = None
    decisions: Decisions = field(init=False)
    known_roles: Decisions = field(init=False)

    def __post_init__(self) -> None:
        """Bind the caches to this server."""
        object.__setattr__(self, "decisions", Decisions(self._ask))
        object.__setattr__(self, "known_roles", Decisions(lambda token, _: self._roles(token)))

    def study(self, token: str, study_instance_uid: str) -> bool:
        """Whether the token is shown this study.  Raises TokenRefused, FhirError, httpx.HTTPError."""
        return study_instance_uid in self.decisions.get(token, study_instance_uid)

    def studies(self, token: str) -> frozenset[str]:
        """All studies the token is shown: what a search above study level joins with."""
        return self.decisions.get(token, ALL)

    def close(self) -> None:
        """Close the connections."""
        self.fhir.client.close()
        if self.introspection is not None:
            self.introspection.close()

    def roles(self, token: str) -> frozenset[str]:
        """The roles of whoever holds the token.  Raises TokenRefused, httpx.HTTPError."""
        return self.known_roles.get(token, ALL)

    def person(self, token: str) -> str:
        """Who holds the token, `Practitioner/id`; empty for one that is no person's.  Raises as `roles`."""
        described = self.described(token)
        return "" if not described else "/".join(str(described.get("fhirUser", "")).split("/")[-2:])

    def described(self, token: str) -> Mapping[str, Any]:
        """What the FHIR server says of a token now; empty without a server to ask.  Raises TokenRefused."""
        if self.introspection is None:
            return {}
        described = self.introspection.describe(token)
        if not described.get("active"):
            raise TokenRefused
        return described

    def _roles(self, token: str) -> frozenset[str]:
        return frozenset(str(role) for role in self.described(token).get("roles", []))

    def _ask(self, token: str, study: str) -> frozenset[str]:
        parameters = {"_elements": "identifier,status", "_count": "500"}
        if study != ALL:
            parameters["identifier"] = f"{SYSTEM_UID}|urn:oid:{study}"
        try:
            found = self.fhir.search(Bearer(token), "ImagingStudy", parameters)
        except FhirError as error:
            if error.status == 401:
                raise TokenRefused from error
            if error.status == 403:
                return frozenset()
            raise
        shown = [item for item in found if item.get("status") != "entered-in-error"]
        uids = frozenset(uid for item in shown for uid in study_uids(item.get("identifier", [])))
        return uids if study == ALL else uids & {study}


def study_uids(identifiers: Iterable[dict[str, str]]) -> list[str]:
    """Study Instance UIDs among the identifiers of an ImagingStudy.  imagingstudy.html#notes"""
    values = [item.get("value", "") for item in identifiers if item.get("system") == SYSTEM_UID]
    return [value.removeprefix("urn:oid:") for value in values if value.startswith("urn:oid:")]
