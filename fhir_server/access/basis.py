"""The treatment basis of a request: a physician attests, in a Provenance, that it treats.  45 CFR 164.506(c)"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
TREATMENT_POLICY = "164.506"


@dataclass(frozen=True, slots=True)
class Basis:
    """The requests that one attestation speaks of, `ServiceRequest/x`."""

    requests: tuple[str, ...]


def basis_of(provenance: Mapping[str, Any]) -> Basis | None:
    """Read a Provenance; None when it attests no treatment."""
    codings = [coding for reason in provenance.get("reason", []) for coding in reason.get("coding", [])]
    treats = any((coding.get("system"), coding.get("code")) == (ACT_REASON, "TREAT") for coding in codings)
    attested = any(agent.get("who", {}).get("reference") for agent in provenance.get("agent", []))
    named = any(TREATMENT_POLICY in uri for uri in provenance.get("policy", []))
    if not (treats and attested and named):
        return None
    targets = (str(target.get("reference", "")).partition("/_history/")[0] for target in provenance.get("target", []))
    return Basis(tuple(target for target in targets if target.startswith("ServiceRequest/")))
