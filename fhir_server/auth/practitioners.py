"""Make a practitioner of another house known: Practitioner and PractitionerRole, once for each issuer and subject."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.auth import records
from fhir_server.caller import Caller
from fhir_server.context import Node


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as another house names them: issuer and subject, the organization they work for, a name to show."""

    issuer: str
    subject: str
    organization: str
    name: str

    @property
    def identifier(self) -> dict[str, str]:
        """The Identifier by which their resources are found."""
        return {"system": self.issuer, "value": self.subject}


async def ensure(node: Node, identity: Identity) -> str:
    """Find or make the Practitioner with identifier system=issuer, value=subject; gives its reference.

    Both creates are conditional, so that two first sights at once make one.  The PractitionerRole says for which
    organization the person works, and so in whose name an interface engine may submit.
    """
    caller, name = records.registrar(identity.organization), identity.name
    identifier = identity.identifier
    practitioner = {"resourceType": "Practitioner", "identifier": [identifier], "active": True} | _name(name)
    reference = f"Practitioner/{await _once(node, caller, practitioner, identifier)}"
    role = {
        "resourceType": "PractitionerRole",
        "identifier": [identifier],
        "active": True,
        "practitioner": {"reference": reference} | ({"display": name} if name else {}),
        "organization": {"reference": identity.organization},
    }
    await _once(node, caller, role, identifier)
    return reference


async def follow(node: Node, identity: Identity, former_name: str) -> None:
    """Bring what `ensure` has made to where the person works now, and to the name that the house shows now.

    A name that somebody here has written otherwise is left alone.
    """
    caller = records.registrar(identity.organization)
    query = {"identifier": _criterion(identity.identifier)}
    for role in await records.search(node, caller, "PractitionerRole", query):
        await records.put(node, caller, [role | {"organization": {"reference": identity.organization}}])
    for practitioner in await records.search(node, caller, "Practitioner", query):
        if practitioner.get("name", []) == _name(former_name).get("name", []):
            await records.put(node, caller, [practitioner | _name(identity.name)])


async def _once(node: Node, caller: Caller, resource: dict[str, Any], identifier: dict[str, str]) -> str:
    return await records.create_once(node, caller, resource, {"identifier": _criterion(identifier)})


def _criterion(identifier: Mapping[str, str]) -> str:
    return f"{_escape(identifier['system'])}|{_escape(identifier['value'])}"


def _name(name: str) -> dict[str, Any]:
    return {"name": [{"text": name}]} if name else {}


def _escape(text: str) -> str:
    """Escape a value for a search parameter.  https://hl7.org/fhir/R4/search.html#escaping"""
    for special in "\\|,$":
        text = text.replace(special, f"\\{special}")
    return text
