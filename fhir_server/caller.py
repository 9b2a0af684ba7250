"""Who asks: the result of a token, as every layer sees it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The person or system behind a request, and what the token grants.

    `fhir_user` is a relative reference ("Practitioner/x"), `organization` too ("Organization/x"); `patient` is the id
    of the launch context.
    """

    subject: str
    client_id: str
    fhir_user: str | None = None
    roles: frozenset[str] = frozenset()
    organization: str | None = None
    scopes: tuple[str, ...] = ()
    patient: str | None = None
