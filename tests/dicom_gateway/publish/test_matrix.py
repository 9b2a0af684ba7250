"""The access matrix by DICOMweb: every role of the policy table in each place that it can have to a study, asked at a
gateway beside a real FHIR server; and how soon images follow what changes there.

What a role is shown of ImagingStudy is read off the policy's own rows: each relation says whether it holds for a place.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from dicom_gateway.app import create_app
from fhir_server.access import relations
from fhir_server.access.policy import POLICY
from fhir_server.caller import Caller
from fhir_server.store.database import connect
from tests.dicom_gateway.publish.scene import Scene, staged
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import CODES, ELSEWHERE, HOSPITAL, business_status, coded, person, sign_in

MACHINES = {"system", "interface-engine"}
PLACES = ("ours", "elsewhere", "owner", "patient", "another")
"""At the patient's hospital, at another, with the case, the patient or who acts for the patient, another patient."""
EVERYWHERE = frozenset(PLACES)
SHOWN = {
    relations.own_organization: {"ours"},
    relations.own_organization_if_any: {"ours"},
    relations.everything: EVERYWHERE,
    relations.everything_but_emergencies: EVERYWHERE,
    relations.named_records: {"owner"},
    relations.own_compartment: {"patient"},
    relations.represented: {"patient"},
}
"""In which places each relation holds for the study; one that is not here has to be thought of first."""
WITHIN_SECONDS = 5.0


@dataclass
class Imaging:
    """The scene with the study released, and the gateway's web application."""

    scene: Scene
    web: httpx.Client

    def shown(self, who: str) -> bool:
        """Whether DICOMweb shows the study: its metadata, a search and an image alike."""
        study = self.scene.study
        sent = {"headers": {"Authorization": f"Bearer {who}"}}
        metadata = self.web.get(f"/dicom-web/studies/{study}/metadata", **sent)
        found = self.web.get("/dicom-web/studies", **sent)
        series = self.web.get(f"/dicom-web/studies/{study}/series", **sent)
        answers = {(metadata.status_code, found.status_code), (series.status_code, found.status_code)}
        assert answers in ({(200, 200)}, {(404, 204)}), (who, answers)
        return metadata.status_code == 200

    def becomes(self, who: str, shown: bool) -> None:
        """Wait until the study is shown, or not, as long as it may take."""
        until = time.monotonic() + WITHIN_SECONDS
        path, headers = f"/dicom-web/studies/{self.scene.study}/metadata", {"Authorization": f"Bearer {who}"}
        while (self.web.get(path, headers=headers).status_code == 200) != shown:
            assert time.monotonic() < until, (who, shown)
            time.sleep(0.1)


@pytest.fixture(scope="module")
def imaging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imaging]:
    """The case offered to Dr. Ito, and a token for each role in each place."""
    folder = tmp_path_factory.mktemp("matrix")
    with pytest.MonkeyPatch.context() as patched, staged(folder, patched) as scene:
        world = scene.world
        scene.arrive()
        scene.decide("accept")
        world.work(lambda: business_status(world.read(scene.case)) == "ready-for-triage")
        offered, owner = coded(f"{CODES}/business-status", "offered"), {"reference": "Practitioner/ito"}
        world.change("okafor", scene.case, status="received", businessStatus=offered, owner=owner)
        mother = {"resourceType": "RelatedPerson", "active": True, "patient": {"reference": scene.patient}}
        made = world.call("weber", "POST", "RelatedPerson", mother)
        assert made.status_code == 201, made.text
        proxy = f"RelatedPerson/{made.json()['id']}"
        asyncio.run(signed_in(f"sqlite:///{folder}/fhir.db", list(everybody(scene.patient, proxy))))
        with (
            serving(lambda base: create_app(world.gateway)) as base,
            httpx.Client(base_url=base, trust_env=False, timeout=30) as web,
        ):
            yield Imaging(scene, web)


async def signed_in(url: str, people: list[Caller]) -> None:
    database = await connect(url)
    await sign_in(database, people)
    await database.close()


def everybody(patient: str, proxy: str) -> Iterator[Caller]:
    """Each role in each place, known by both words."""
    for role in POLICY:
        for place in PLACES:
            scope = ("system/*.cruds",) if role in MACHINES else ("user/*.cruds",)
            who = replace(person(role, f"{role}.{place}"), organization=ELSEWHERE, scopes=scope)
            who = replace(who, fhir_user=proxy) if role == "proxy" else who
            changes: dict[str, dict[str, Any]] = {
                "ours": {"organization": HOSPITAL},
                "owner": {} if role == "proxy" else {"fhir_user": "Practitioner/ito"},
                "patient": {"patient": patient.partition("/")[2]},
                "another": {"patient": "another"},
            }
            yield replace(who, **changes.get(place, {}))


def expected(role: str, place: str) -> bool:
    """What the rows of the policy say of the study."""
    grants = (grant for grant in POLICY[role] if grant.covers("search", "ImagingStudy"))
    return any(place in SHOWN[grant.relation] for grant in grants)


def test_dicomweb_shows_each_role_what_the_policy_says(imaging: Imaging) -> None:
    cells = {(role, place): expected(role, place) for role in POLICY for place in PLACES}
    assert len(set(cells.values())) == 2 and len(cells) == len(POLICY) * len(PLACES)
    assert {cell: imaging.shown(".".join(cell)) for cell in cells} == cells


@pytest.mark.full
def test_images_follow_an_emergency_and_its_end(imaging: Imaging) -> None:
    """Opened to the one who asked, and to nobody else of the same hospital."""
    imaging.becomes("elsewhere", shown=False)
    reason = {"name": "reason", "valueCode": "life-or-limb"}, {"name": "comment", "valueString": "Unconscious."}
    body = {"resourceType": "Parameters", "parameter": [*reason]}
    opened = imaging.scene.world.call("elsewhere", "POST", f"{imaging.scene.patient}/$break-glass", body)
    assert opened.status_code == 200, opened.text
    imaging.becomes("elsewhere", shown=True)
    assert not imaging.shown("requester.elsewhere")
    ended = imaging.scene.world.call("elsewhere", "POST", f"Task/{opened.json()['id']}/$break-glass-end")
    assert ended.status_code == 200, ended.text
    imaging.becomes("elsewhere", shown=False)


@pytest.mark.full
def test_images_follow_the_consent_that_the_case_rests_on(imaging: Imaging) -> None:
    """With the treatment basis gone the Consent alone releases them; withdrawn, the hospital keeps its own."""
    scene, world = imaging.scene, imaging.scene.world
    for basis in world.search(f"Provenance?target={scene.request}"):
        if "policy" in basis:
            assert world.call("root", "DELETE", f"Provenance/{basis['id']}").status_code == 204
    imaging.becomes("ito", shown=False)
    made = world.call("weber", "POST", "Consent", consent(scene.patient))
    assert made.status_code == 201, made.text
    given = f"Consent/{made.json()['id']}"
    world.change("weber", scene.request, supportingInfo=[{"reference": given}])
    imaging.becomes("ito", shown=True)
    world.change("weber", given, status="inactive")
    imaging.becomes("ito", shown=False)
    assert imaging.shown("weber") and not imaging.shown("consultant.owner")


def consent(patient: str) -> dict[str, Any]:
    """A release of information to whoever holds the case."""
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": coded("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [coded("http://loinc.org", "64292-6")],
        "policyRule": {"text": "release"},
        "patient": {"reference": patient},
        "dateTime": "2026-01-01",
        "provision": {"type": "permit", "period": {"start": "2020-01-01"}},
    }
