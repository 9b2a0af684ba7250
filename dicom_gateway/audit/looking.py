"""Who looks by the web doors: a token or a viewer session that is shown a study, once each quarter of an hour.

A viewer asks for a study in thousands of requests: the first is put down, durably, before it is answered; the others of
the same caller, study and kind are the same look.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dicom_gateway.access import Access, token_hash
from dicom_gateway.audit.happened import QUERY, Agent, Happened, ourselves, put_down
from dicom_gateway.gateway import Gateway

SAME_LOOK_SECONDS = 15 * 60.0
MOST_KNOWN = 5000


@dataclass(frozen=True, slots=True)
class Looker:
    """A token and where it calls from."""

    token: str = field(repr=False)
    address: str


@dataclass
class Looking:
    """Puts down who looks.  `describe`: what the FHIR server says of a token."""

    gateway: Gateway
    access: Access | None
    clock: Callable[[], float] = time.monotonic
    _looks: OrderedDict[tuple[str, ...], float] = field(default_factory=OrderedDict)
    _people: OrderedDict[str, Agent] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, looker: Looker, code: str, studies: Mapping[str, int | None], case: str = "") -> None:
        """Somebody is shown these studies.  Raises what `put_down` and introspection raise."""
        if self.access is None:
            return
        keys = {uid: (token_hash(looker.token), uid, code) for uid in studies}
        new = {uid: count for uid, count in studies.items() if self._is_new(keys[uid])}
        if not new:
            return
        agents = (replace(self.who(looker), part="destination"), ourselves(self.gateway.settings, "source"))
        put_down(self.gateway, Happened(code, "R", agents, new, case=case))
        self._remember(keys[uid] for uid in new)

    def asked(self, looker: Looker, query: str, studies: Iterable[str] = (), patient: str = "") -> None:
        """Somebody asks a question, and is shown these studies."""
        if self.access is None:
            return
        agents = (replace(self.who(looker), part="source"), ourselves(self.gateway.settings, "destination"))
        found = dict.fromkeys(studies)
        put_down(self.gateway, Happened(QUERY, "E", agents, found, query=query, patient=patient))

    def who(self, looker: Looker) -> Agent:
        """The person or program that holds the token, asked once.  Raises TokenRefused, httpx.HTTPError."""
        key = token_hash(looker.token)
        known = self._people.get(key)
        if known is None:
            described: Mapping[str, Any] = self.access.described(looker.token) if self.access else {}
            known = agent_of(described)
            with self._lock:
                self._people[key] = known
                _shorten(self._people)
        return replace(known, address=looker.address)

    def _is_new(self, key: tuple[str, ...]) -> bool:
        since = self._looks.get(key)
        return since is None or self.clock() - since > SAME_LOOK_SECONDS

    def _remember(self, keys: Iterable[tuple[str, ...]]) -> None:
        with self._lock:
            for key in keys:
                self._looks[key] = self.clock()
                self._looks.move_to_end(key)
            _shorten(self._looks)


def _shorten(known: OrderedDict[Any, Any]) -> None:
    while len(known) > MOST_KNOWN:
        known.popitem(last=False)


def agent_of(described: Mapping[str, Any]) -> Agent:
    """What introspection says, as an agent.  RFC 7662 2.2"""
    person = "/".join(str(described.get("fhirUser", "")).split("/")[-2:])
    name = str(described.get("sub") or described.get("client_id") or "unknown")
    roles = tuple(sorted(str(role) for role in described.get("roles", [])))
    return Agent(name, reference=person, roles=roles, asked=True)
