"""R4 itself as data: resource types, element trees, search parameters, compartments.

Compiled once out of the package hl7.fhir.r4.core into a compact file beside it, named after the package's hash, so that
a start reads one small file. Search parameters of our own come from the FHIR JSON under `profiles/`.
"""

import hashlib
import importlib.util
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

CACHE_FORMAT = 5
# Base URL of the specification's own search parameters; the package holds examples of extensions beside them.
OWN = "http://hl7.org/fhir/SearchParameter/"
COMPARTMENTS = "http://hl7.org/fhir/CompartmentDefinition/"
EXAMPLES = ("extensions-", "example")
ABSTRACT = ("Resource", "DomainResource")
SYSTEM_STRING = "http://hl7.org/fhirpath/System.String"


@dataclass(frozen=True, slots=True)
class Element:
    """One JSON property of a type: `name` is the FHIRPath name, `key` the JSON one (`valueQuantity`)."""

    key: str
    name: str
    type: str
    many: bool
    required: bool
    summary: bool


@dataclass(frozen=True, slots=True)
class ParameterDefinition:
    """A SearchParameter.  https://hl7.org/fhir/R4/searchparameter.html"""

    url: str
    code: str
    type: str
    base: tuple[str, ...]
    expression: str
    target: tuple[str, ...] = ()
    component: tuple[tuple[str, str], ...] = ()
    description: str = ""


@dataclass(frozen=True, eq=False)
class Definitions:
    """Everything the server knows of R4, loaded; element trees are unfolded on first use of a type."""

    structures: Mapping[str, list[list[Any]]]
    primitives: frozenset[str]
    resource_types: frozenset[str]
    compartments: Mapping[str, Mapping[str, list[str]]]
    parameters: tuple[ParameterDefinition, ...]
    _keys: dict[str, dict[str, Element]] = field(default_factory=dict)
    _names: dict[str, dict[str, tuple[Element, ...]]] = field(default_factory=dict)

    def keys(self, path: str) -> Mapping[str, Element]:
        """The properties of a type or backbone path by JSON name; empty for a primitive."""
        found = self._keys.get(path)
        if found is None:
            found = self._keys[path] = {element.key: element for element in self._elements(path)}
        return found

    def names(self, path: str) -> Mapping[str, tuple[Element, ...]]:
        """The properties of a type by FHIRPath name: a choice has one element for each type."""
        found = self._names.get(path)
        if found is None:
            found = self._names[path] = {}
            for element in self.keys(path).values():
                found[element.name] = (*found.get(element.name, ()), element)
        return found

    def _elements(self, path: str) -> Iterator[Element]:
        for name, types, many, required, summary in self.structures.get(path, ()):
            if name.endswith("[x]"):
                stem = name[:-3]
                for type_ in types:
                    yield Element(stem + type_[0].upper() + type_[1:], stem, type_, False, required, summary)
            else:
                yield Element(name, name, types[0] if types else "Element", many, required, summary)

    @property
    def compartment(self) -> Mapping[str, list[str]]:
        """The patient compartment: the parameters that place each type in it."""
        return self.compartments["Patient"]

    @cached_property
    def parameters_by_type(self) -> Mapping[str, tuple[ParameterDefinition, ...]]:
        """The search parameters of each resource type, those of Resource and DomainResource among them."""
        result: dict[str, list[ParameterDefinition]] = {name: [] for name in self.resource_types}
        for parameter in self.parameters:
            bases = self.resource_types if set(parameter.base) & set(ABSTRACT) else parameter.base
            for base in bases:
                result.setdefault(base, []).append(parameter)
        return {name: tuple(found) for name, found in result.items()}


def load(package: Path, profiles: Path | None = None) -> Definitions:
    """Read the definitions, compiled on first use; raises FileNotFoundError naming the package that set-up fetches."""
    if not package.exists():
        raise FileNotFoundError(f"No FHIR definitions at {package}: run `make setup` or set KONSIL_FHIR_DEFINITIONS")
    raw = _compiled(package)
    own = list(_own_parameters(profiles or default_profiles()))
    known = [ParameterDefinition(**_tuples(entry)) for entry in raw["parameters"]]
    return Definitions(
        structures=raw["structures"],
        primitives=frozenset(raw["primitives"]),
        resource_types=frozenset(raw["resource_types"]),
        compartments=raw["compartments"],
        parameters=tuple(known + own),
    )


def default_profiles() -> Path | None:
    """The folder `profiles/` shipped beside the packages."""
    spec = importlib.util.find_spec("profiles")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _tuples(entry: dict[str, Any]) -> dict[str, Any]:
    entry["component"] = tuple((url, expression) for url, expression in entry["component"])
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def read_profiles(profiles: Path | None) -> Iterator[dict[str, Any]]:
    """Every FHIR resource of the folder and what is below it."""
    for path in sorted(profiles.rglob("*.json")) if profiles else ():
        resource = orjson.loads(path.read_bytes())
        if isinstance(resource, dict) and "resourceType" in resource:
            yield resource


def _own_parameters(profiles: Path | None) -> Iterator[ParameterDefinition]:
    for resource in read_profiles(profiles):
        if resource["resourceType"] == "SearchParameter":
            yield parameter_of(resource)


def parameter_of(resource: dict[str, Any]) -> ParameterDefinition:
    """A SearchParameter resource as the server uses it."""
    return ParameterDefinition(**_tuples(_parameter(resource)))


def _compiled(package: Path) -> dict[str, Any]:
    digest = hashlib.sha256(package.read_bytes()).hexdigest()[:16]
    cache = package.with_name(f"{package.stem}-{digest}-{CACHE_FORMAT}.json")
    if not cache.exists():
        temporary = cache.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_bytes(orjson.dumps(_compile(package)))
        temporary.replace(cache)
    compiled: dict[str, Any] = orjson.loads(cache.read_bytes())
    return compiled


def _compile(package: Path) -> dict[str, Any]:
    """Everything needed out of the package's 4,500 files."""
    result: dict[str, Any] = {"structures": {}, "primitives": [], "resource_types": [], "parameters": []}
    result["compartments"] = {}
    for kind, resource in _definitions(package):
        if kind == "StructureDefinition":
            _add_structure(result, resource)
        elif kind == "SearchParameter" and _is_real(resource):
            result["parameters"].append(_parameter(resource))
        elif kind == "CompartmentDefinition" and resource["url"] == COMPARTMENTS + resource["code"].lower():
            parameters = {entry["code"]: entry["param"] for entry in resource["resource"] if entry.get("param")}
            result["compartments"][resource["code"]] = parameters
    result["parameters"].sort(key=lambda entry: str(entry["url"]))
    return result


def _definitions(package: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    kinds = ("StructureDefinition", "SearchParameter", "CompartmentDefinition")
    with tarfile.open(package) as archive:
        for member in archive:
            kind = Path(member.name).name.partition("-")[0]
            stream = archive.extractfile(member) if kind in kinds else None
            if stream is not None:
                yield kind, orjson.loads(stream.read())


def _is_real(resource: dict[str, Any]) -> bool:
    name = resource["url"].removeprefix(OWN)
    return bool(resource.get("base")) and not any(part in name for part in EXAMPLES)


def _parameter(resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "url": resource["url"],
        "code": resource["code"],
        "type": resource["type"],
        "base": resource["base"],
        "expression": resource.get("expression", ""),
        "target": resource.get("target", []),
        "component": [[part["definition"], part["expression"]] for part in resource.get("component", [])],
        "description": resource.get("description", "")[:200],
    }


def _add_structure(result: dict[str, Any], resource: dict[str, Any]) -> None:
    """Keep a base type's elements by path; profiles and logical models are left out."""
    if resource.get("derivation") == "constraint" or resource["kind"] == "logical":
        return
    name = resource["type"]
    if resource["kind"] == "primitive-type":
        result["primitives"].append(name)
    if resource["kind"] == "resource" and not resource["abstract"]:
        result["resource_types"].append(name)
    for element in resource["snapshot"]["element"][1:]:
        parent, _, last = element["path"].rpartition(".")
        result["structures"].setdefault(parent, []).append(
            [
                last,
                _types(element, resource),
                element["max"] not in {"0", "1"},
                element["min"] > 0,
                element.get("isSummary", False),
            ]
        )


def _types(element: dict[str, Any], resource: dict[str, Any]) -> list[str]:
    if "contentReference" in element:
        return [element["contentReference"].rpartition("#")[2]]
    codes = [entry["code"] for entry in element.get("type", ())]
    if codes in (["BackboneElement"], ["Element"]) and any(
        other["path"].startswith(element["path"] + ".") for other in resource["snapshot"]["element"]
    ):
        return [element["path"]]
    return [
        ("id" if element["path"].count(".") == 1 else "string") if code == SYSTEM_STRING else code for code in codes
    ]
