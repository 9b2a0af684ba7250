"""Who asks: the result of a token, as every layer sees it."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Caller:
    """The person or system behind a request, and what the token grants.

    `fhir_user` is a relative reference ("Practitioner/x"), `organization` too ("Organization/x"); `patient` is the id
    of the launch context. Much is kept by caller, so its hash is made once.
    """

    subject: str
    client_id: str
    fhir_user: str | None = None
    roles: frozenset[str] = frozenset()
    organization: str | None = None
    scopes: tuple[str, ...] = ()
    patient: str | None = None

    @cached_property
    def _hash(self) -> int:
        named = self.subject, self.client_id, self.fhir_user, self.roles, self.organization, self.scopes, self.patient
        return hash(named)

    def __hash__(self) -> int:
        return self._hash
