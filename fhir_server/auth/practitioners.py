"""Make a tenant's practitioner known: Practitioner and PractitionerRole, once for each issuer and subject."""

from typing import Any

from fhir_server.auth import records
from fhir_server.caller import Caller
from fhir_server.context import Node
from fhir_server.store.auth_values import Tenant


async def ensure(node: Node, tenant: Tenant, subject: str, name: str) -> str:
    """Find or make the Practitioner with identifier system=issuer, value=subject; gives its reference.

    Both creates are conditional, so that two first sights at once make one.  The PractitionerRole says for which
    organization the person works, and so in whose name an interface engine may submit.
    """
    caller = records.registrar(tenant.organization)
    identifier = {"system": tenant.issuer, "value": subject}
    practitioner = {"resourceType": "Practitioner", "identifier": [identifier], "active": True} | _name(name)
    reference = f"Practitioner/{await _once(node, caller, practitioner, identifier)}"
    role = {
        "resourceType": "PractitionerRole",
        "identifier": [identifier],
        "active": True,
        "practitioner": {"reference": reference} | ({"display": name} if name else {}),
        "organization": {"reference": tenant.organization},
    }
    await _once(node, caller, role, identifier)
    return reference


async def _once(node: Node, caller: Caller, resource: dict[str, Any], identifier: dict[str, str]) -> str:
    criteria = {"identifier": f"{_escape(identifier['system'])}|{_escape(identifier['value'])}"}
    return await records.create_once(node, caller, resource, criteria)


def _name(name: str) -> dict[str, Any]:
    return {"name": [{"text": name}]} if name else {}


def _escape(text: str) -> str:
    """Escape a value for a search parameter.  https://hl7.org/fhir/R4/search.html#escaping"""
    for special in "\\|,$":
        text = text.replace(special, f"\\{special}")
    return text
