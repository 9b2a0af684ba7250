"""Restrictions on rows as values: a small algebra that `store/visibility.py` turns into SQL."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Everything:
    """Every row."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No row."""


@dataclass(frozen=True, slots=True)
class Released:
    """Rows without the label of quarantined material."""


@dataclass(frozen=True, slots=True)
class OfType:
    """Rows of these resource types."""

    resource_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfOrganization:
    """Rows that the organization with this id, or one that is part of it, owns."""

    organization: str


@dataclass(frozen=True, slots=True)
class OfSomePatient:
    """Patients, and rows about one."""


@dataclass(frozen=True, slots=True)
class InCompartment:
    """The Patient with this id and every row in its compartment."""

    patient: str


@dataclass(frozen=True, slots=True)
class Coded:
    """Rows whose token parameter has one of these codes; system None: whatever the system."""

    resource_type: str
    parameter: str
    system: str | None
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PointsAt:
    """Rows whose reference parameter names this one resource, `Practitioner/x`."""

    resource_type: str
    parameter: str
    target: str


@dataclass(frozen=True, slots=True)
class Naming:
    """Rows of `resource_type` whose reference parameter names a row of `target` that is not about another patient."""

    resource_type: str
    parameter: str
    target: "Restriction"


@dataclass(frozen=True, slots=True)
class NamedBy:
    """Rows that a row of `source`, of `resource_type`, names by this parameter and that are not about another patient.

    `target_types` says of which types they can be; empty: of any.
    """

    resource_type: str
    parameter: str
    source: "Restriction"
    target_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identified:
    """These rows: `Type/id`, in order."""

    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Carrying:
    """Rows that carry one of these (system, code), as a security label or otherwise."""

    tokens: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Covered:
    """The caller's cases (Task) or their requests (ServiceRequest) whose release to the caller has a basis; `terms.py`
    says which these are.
    """

    resource_type: str


@dataclass(frozen=True, slots=True)
class Agreed:
    """Rows that this basis lets the caller see; `terms.py` says which these are."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Rows in every part."""

    parts: tuple["Restriction", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Rows in at least one part."""

    parts: tuple["Restriction", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Rows outside the part."""

    part: "Restriction"


Restriction = (
    Everything
    | Nothing
    | Released
    | OfType
    | OfOrganization
    | OfSomePatient
    | InCompartment
    | Coded
    | PointsAt
    | Naming
    | NamedBy
    | Identified
    | Carrying
    | Covered
    | Agreed
    | AllOf
    | AnyOf
    | Not
)


def all_of(*parts: Restriction) -> Restriction:
    """Intersect, folding what is trivial: Everything drops out, Nothing wins."""
    kept = tuple(dict.fromkeys(part for part in parts if part != Everything()))
    if Nothing() in kept:
        return Nothing()
    return kept[0] if len(kept) == 1 else AllOf(kept) if kept else Everything()


def any_of(*parts: Restriction) -> Restriction:
    """Unite, folding what is trivial: Nothing drops out, Everything wins."""
    kept = tuple(dict.fromkeys(part for part in parts if part != Nothing()))
    if Everything() in kept:
        return Everything()
    return kept[0] if len(kept) == 1 else AnyOf(kept) if kept else Nothing()


def negated(part: Restriction) -> Restriction:
    """Take the complement, folding what is trivial."""
    match part:
        case Everything():
            return Nothing()
        case Nothing():
            return Everything()
        case Carrying(()):
            return Everything()
        case Not(inner):
            return inner
        case _:
            return Not(part)


def specialise(restriction: Restriction, resource_type: str) -> Restriction:
    """Fold away what cannot be met by, or is always true of, rows of this type; the result holds for such rows only."""
    match restriction:
        case AllOf(parts):
            return all_of(*(specialise(part, resource_type) for part in parts))
        case AnyOf(parts):
            return any_of(*(specialise(part, resource_type) for part in parts))
        case Not(part):
            return negated(specialise(part, resource_type))
        case OfType(resource_types):
            return Everything() if resource_type in resource_types else Nothing()
        case Identified(references):
            named = tuple(one for one in references if one.startswith(f"{resource_type}/"))
            return Identified(named) if named else Nothing()
        case Coded() | PointsAt() | Naming():
            return restriction if restriction.resource_type == resource_type else Nothing()
        case NamedBy(_, _, _, target_types):
            return restriction if not target_types or resource_type in target_types else Nothing()
        case _:
            return restriction
