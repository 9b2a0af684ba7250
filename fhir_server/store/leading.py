"""What conditions are made of, and which of them leads: the one that is likely to leave the fewest rows."""

from fhir_server.search.query import Chain, Clause, Condition, Has, InCompartment, Logic, Missing
from fhir_server.search.registry import COLUMNS

RANKS = {
    "reference": 2,
    "composite": 2,
    "uri": 4,
    "string": 5,
    "quantity": 6,
    "number": 6,
    "special": 6,
    "words": 5,
    "date": 7,
}


def has_rows(condition: Condition) -> bool:
    """Whether it is met by rows of an index that are kept in the order of patients, and are few of each."""
    return isinstance(condition, Clause) and is_listed(condition) and condition.parameter.type != "reference"


def is_listed(clause: Clause) -> bool:
    """Whether the rows of its index are what meets it."""
    return clause.modifier != "not" and clause.parameter.code not in COLUMNS


def is_reference(condition: Condition) -> bool:
    """Whether it says what is pointed to."""
    return isinstance(condition, Clause) and condition.parameter.type == "reference"


def rank(condition: Condition) -> int:
    """Which condition to lead with: the lower, the fewer rows it is likely to leave."""
    if isinstance(condition, InCompartment):
        return 1
    if isinstance(condition, Chain | Has):
        return 3
    if isinstance(condition, Missing | Logic) or condition.modifier == "not":
        return 9
    if condition.parameter.code == "_id":
        return 0
    if condition.parameter.type == "token":
        return 1 if condition.parameter.literal else 8
    return RANKS[condition.parameter.type]
