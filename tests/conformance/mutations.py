"""Examples of R4, each broken in one place by chance that repeats: what validators are asked about."""

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

Json = dict[str, Any]
Place = tuple[Json, str]
SEED = 4


def places(value: Any) -> Iterator[Place]:
    """Every property of every object inside, narratives and extensions left out."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in {"text", "extension", "modifierExtension", "contained", "resourceType"} or key[0] == "_":
                continue
            yield value, key
            yield from places(item)
    elif isinstance(value, list):
        for item in value:
            yield from places(item)


def strings(resource: Json, *names: str) -> list[Place]:
    return [(holder, key) for holder, key in places(resource) if key in names and isinstance(holder[key], str)]


def unknown_element(chance: random.Random, resource: Json) -> bool:
    holder, _ = chance.choice(list(places(resource)))
    holder["colour"] = "red"
    return True


def top_level_gone(chance: random.Random, resource: Json) -> bool:
    keys = [key for key in resource if key not in {"resourceType", "id", "text", "meta", "contained"} and key[0] != "_"]
    if not keys:
        return False
    gone = chance.choice(keys)
    del resource[gone]
    resource.pop(f"_{gone}", None)
    return True


def _put(chance: random.Random, found: list[Place], value: Any) -> bool:
    if not found:
        return False
    holder, key = chance.choice(found)
    holder[key] = value
    return True


def wrong_code(chance: random.Random, resource: Json) -> bool:
    return _put(chance, strings(resource, "status", "gender", "use", "intent", "priority", "mode"), "nonsense")


def wrong_date(chance: random.Random, resource: Json) -> bool:
    names = ("date", "birthDate", "start", "end", "effectiveDateTime", "authoredOn", "created", "recordedDate")
    return _put(chance, strings(resource, *names), "2019-02-30")


def wrong_target(chance: random.Random, resource: Json) -> bool:
    found = [place for place in strings(resource, "reference") if "/" in place[0]["reference"]]
    return _put(chance, found, "Basic/none")


def empty_text(chance: random.Random, resource: Json) -> bool:
    return _put(chance, [(holder, key) for holder, key in places(resource) if isinstance(holder[key], str)], "")


def wrong_kind(chance: random.Random, resource: Json) -> bool:
    found = [(holder, key) for holder, key in places(resource) if isinstance(holder[key], bool | int | float)]
    return _put(chance, found, {"x": 1})


def array_for_one(chance: random.Random, resource: Json) -> bool:
    found = [(holder, key) for holder, key in places(resource) if not isinstance(holder[key], list)]
    if not found:
        return False
    holder, key = chance.choice(found)
    holder[key] = [holder[key]]
    return True


def one_for_array(chance: random.Random, resource: Json) -> bool:
    found = [(holder, key) for holder, key in places(resource) if isinstance(holder[key], list) and holder[key]]
    if not found:
        return False
    holder, key = chance.choice(found)
    holder[key] = holder[key][0]
    return True


def bad_narrative(chance: random.Random, resource: Json) -> bool:
    if "text" not in resource:
        return False
    resource["text"]["div"] = '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>'
    return True


def unused_contained(chance: random.Random, resource: Json) -> bool:
    if resource["resourceType"] in {"Bundle", "Binary", "Parameters"} or "contained" in resource:
        return False
    resource["contained"] = [{"resourceType": "Patient", "id": "nobody", "active": True}]
    return True


def period_backwards(chance: random.Random, resource: Json) -> bool:
    found = [(holder, key) for holder, key in places(resource) if key.lower().endswith("period")]
    found = [(holder, key) for holder, key in found if isinstance(holder[key], dict)]
    return _put(chance, found, {"start": "2020-01-02", "end": "2019-01-01"})


KINDS: tuple[Callable[[random.Random, Json], bool], ...] = (
    unknown_element, top_level_gone, wrong_code, wrong_date, wrong_target, empty_text, wrong_kind, array_for_one,
    one_for_array, bad_narrative, unused_contained, period_backwards,
)  # fmt: skip


def mutations(examples: list[tuple[str, bytes]], count: int) -> Iterator[tuple[str, Json]]:
    """(name, resource) for as many mutations, every kind in turn."""
    chance = random.Random(SEED)
    made = 0
    while made < count:
        name, body = chance.choice(examples)
        kind = KINDS[made % len(KINDS)]
        resource = deepcopy(json.loads(body))
        if kind(chance, resource):
            yield f"{kind.__name__}-{made}-{name}", resource
            made += 1
