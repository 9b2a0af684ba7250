"""Who may do what: role, scope and relation, answered as a restriction on rows.

Pure: nothing here touches a database.  `restriction` says which rows of a type a caller may touch, as a value that
`store/visibility.py` turns into SQL, so that a count, a page or a chain never meets a row the caller must not know of.
The whole policy is the table in `policy.py`; everything that it does not name is refused.
"""

from functools import lru_cache

from fhir_server import scopes
from fhir_server.access.algebra import (
    Carrying,
    Coded,
    Everything,
    InCompartment,
    Nothing,
    Restriction,
    all_of,
    any_of,
    negated,
    specialise,
)
from fhir_server.access.emergency import opened
from fhir_server.access.labels import closed_to
from fhir_server.access.policy import LETTER, OPEN_TYPES, POLICY, READING, Interaction
from fhir_server.access.relations import released
from fhir_server.access.terms import BOUND_ROLES, NO_TERMS, Terms, stands_aside, under
from fhir_server.caller import Caller
from fhir_server.errors import Forbidden

__all__ = ["Caller", "Interaction", "Restriction", "Terms", "restriction", "sees_quarantine", "written"]


def restriction(caller: Caller, interaction: Interaction, resource_type: str, terms: Terms = NO_TERMS) -> Restriction:
    """Say which rows of a type the caller may touch by this interaction: role, scope and Consent, the narrower wins.

    For update and delete it speaks of the row as it was before; for create of the row as written.
    Raises Forbidden when nothing can be granted.
    """
    _check_standing(caller, interaction, resource_type, terms)
    if terms.emergencies:
        return _in_emergency(caller, interaction, resource_type, terms)
    return under(_granted(caller, interaction, resource_type, after=interaction == "create"), terms, resource_type)


def _in_emergency(caller: Caller, interaction: Interaction, resource_type: str, terms: Terms) -> Restriction:
    """The same where emergencies open more. Raises Forbidden."""
    more = all_of(
        opened(caller, interaction, resource_type, terms),
        specialise(_by_scope(caller, interaction, resource_type), resource_type),
    )
    try:
        granted = _granted(caller, interaction, resource_type, after=interaction == "create")
    except Forbidden:
        if more == Nothing():
            raise
        return more
    return any_of(under(granted, terms, resource_type), more)


def written(caller: Caller, interaction: Interaction, resource_type: str, terms: Terms = NO_TERMS) -> Restriction:
    """Say what a row that the caller has just written must satisfy, checked before commit.

    It differs from `restriction` where a step ends the caller's own access (a consultant declines).  Raises Forbidden.
    """
    _check_standing(caller, interaction, resource_type, terms)
    return under(_granted(caller, interaction, resource_type, after=True), terms, resource_type)


def _check_standing(caller: Caller, interaction: Interaction, resource_type: str, terms: Terms) -> None:
    """A proxy whose relation is not in force sees what everybody sees.  Raises Forbidden."""
    if stands_aside(caller, terms) and not (resource_type in OPEN_TYPES and interaction in READING):
        raise Forbidden("You do not act for this patient now: ask the hospital that keeps the record.")


def sees_quarantine(caller: Caller) -> bool:
    """Whether unreconciled material may be shown: HIM staff, administrators and whoever may publish it.  Rule 5"""
    if caller.roles & {"him", "administrator"}:
        return True
    return "system" in caller.roles and any(
        scope.level == "system" and scope.covers("ImagingStudy", "c") for scope in scopes.parse_all(caller.scopes)
    )


@lru_cache(maxsize=4000)
def _granted(caller: Caller, interaction: Interaction, resource_type: str, after: bool) -> Restriction:
    unquarantined = Everything() if sees_quarantine(caller) else released(resource_type)
    if resource_type in OPEN_TYPES and interaction in READING:
        return specialise(unquarantined, resource_type)
    result = all_of(
        unquarantined,
        _by_role(caller, interaction, resource_type, after),
        _by_scope(caller, interaction, resource_type),
    )
    result = specialise(result, resource_type)
    if result == Nothing():
        raise Forbidden(f"No role and scope of this token allow {interaction} on {resource_type}")
    return result


def _by_role(caller: Caller, interaction: Interaction, resource_type: str, after: bool) -> Restriction:
    return any_of(
        *(
            all_of((grant.after if after and grant.after else grant.relation)(caller), _open_to(role))
            for role in sorted(caller.roles)
            for grant in POLICY.get(role, ())
            if grant.covers(interaction, resource_type)
        )
    )


def _open_to(role: str) -> Restriction:
    """Rows without a label that is closed to the role; to whom a case is given, its Consent opens them."""
    return Everything() if role in BOUND_ROLES else negated(Carrying(closed_to((role,))))


def _by_scope(caller: Caller, interaction: Interaction, resource_type: str) -> Restriction:
    return any_of(
        *(
            all_of(_level(caller, scope), *(_matching(resource_type, name, value) for name, value in scope.query))
            for scope in scopes.parse_all(caller.scopes)
            if scope.covers(resource_type, LETTER[interaction])
        )
    )


def _level(caller: Caller, scope: scopes.Scope) -> Restriction:
    """Say what the part before the slash opens: the launch patient's compartment, or what the role allows."""
    if scope.level == "patient":
        return InCompartment(caller.patient) if caller.patient else Nothing()
    machine = bool(caller.roles & {"system", "interface-engine"})
    return Everything() if machine == (scope.level == "system") or "administrator" in caller.roles else Nothing()


def _matching(resource_type: str, parameter: str, value: str) -> Restriction:
    """Read one parameter of a granular scope, `category=system|code,code`, as a token; another kind matches nothing."""
    tokens = (token.rpartition("|") for token in value.split(","))
    return any_of(*(Coded(resource_type, parameter, system or None, (code,)) for system, _, code in tokens))
