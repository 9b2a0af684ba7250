"""What each program is told before it starts: clients, accounts, tenants, peers, as provisioning files."""

from typing import Any

from deploy.sandbox import charts, directory, people
from deploy.sandbox.hospitals import (
    HOSPITALS,
    LAKESIDE,
    OUR_AE_TITLE,
    OUTSIDE_AE_TITLE,
    OUTSIDE_ISSUER,
    OUTSIDE_TITLE,
    PROGRAMME,
    WORKSTATION_AE_TITLE,
    WORKSTATION_TITLE,
    Hospital,
)
from deploy.sandbox.imaging.dicom import ISSUER_OID
from deploy.sandbox.keys import Jwk, Keys, public_set
from deploy.sandbox.plan import OutsidePeer, Plan

Document = dict[str, Any]

PERSON_SCOPES = (
    "openid fhirUser profile online_access offline_access user/*.cruds patient/*.rs patient/Consent.u administration"
)
GATEWAY_SCOPES = " ".join(
    [
        "system/Task.crus system/ImagingStudy.cruds system/Endpoint.cruds system/Patient.cruds",
        "system/Provenance.crs system/Device.crus system/ServiceRequest.rs",
        "system/Practitioner.rs system/Organization.rs system/AuditEvent.cu system/DocumentReference.crus",
    ]
)
READER_SCOPES = "system/*.rs system/AuditEvent.cu"
ENGINE_SCOPES = "system/*.cruds"
EHR_SCOPES = " ".join(
    [
        "launch openid fhirUser profile online_access offline_access",
        "patient/*.rs patient/*.read user/*.rs user/*.read",
        "patient/DocumentReference.cruds",
    ]
)


def our_server(plan: Plan, keys: Keys) -> Document:
    """Clients, staff accounts, allow-listed EHRs and directory of our own fhir_server."""
    return {
        "resources": directory.resources(),
        "clients": [
            {
                "client_id": "konsil-app",
                "name": "konsil",
                "redirect_uris": [f"{plan.app_url}/callback"],
                "jwks": public_set(keys["app"]),
                "scopes": PERSON_SCOPES,
                "trusted": True,
                "may_exchange": True,
            },
            system_client("konsil-app-system", keys["app-system"], READER_SCOPES),
            system_client("konsil-gateway", keys["gateway"], GATEWAY_SCOPES),
            {
                **system_client("interface-engine-demo", keys["interface-engine"], ENGINE_SCOPES),
                "role": "interface-engine",
                "organization": HOSPITALS[0].organization,
            },
        ],
        "tenants": [
            {
                "name": hospital.key,
                "issuer": f"{plan.ehr_url}/{hospital.key}",
                "jwks_url": f"{plan.ehr_url}/{hospital.key}/oauth/jwks",
                "client_id": "konsil",
                "organization": hospital.organization,
            }
            for hospital in HOSPITALS
        ],
        "accounts": [person.account() for person in people.STAFF],
        "organization": PROGRAMME,
    }


def patients() -> Document:
    """Accounts of people of Lakeside and their records, which the first case finds by their numbers."""
    known = {each["id"]: each for each in charts.resources(LAKESIDE.key) if each["resourceType"] == "Patient"}
    return {
        "resources": [known_as(known[each.record]) for each in people.OUTSIDERS],
        "accounts": [each.account() for each in people.OUTSIDERS],
        "organization": LAKESIDE.organization,
    }


def known_as(chart: Document) -> Document:
    """What our own server knows of a patient before anybody has asked for an opinion."""
    kept = ("resourceType", "id", "name", "gender", "birthDate")
    (number,) = (each for each in chart["identifier"] if each["system"] == LAKESIDE.mrn_system)
    identifier = {name: number[name] for name in ("use", "type", "system", "value")}
    return {name: chart[name] for name in kept} | {"identifier": [identifier]}


def system_client(client_id: str, key: Jwk, scopes: str) -> Document:
    """A backend-services client."""
    return {
        "client_id": client_id,
        "name": client_id,
        "jwks": public_set(key),
        "scopes": scopes,
        "role": "system",
    }


def tenant(plan: Plan, hospital: Hospital, keys: Keys) -> Document:
    """What an EHR tenant knows of us, and its physicians; its charts come from `deploy.sandbox.charts`."""
    return {
        "clients": [
            {
                "client_id": "konsil",
                "name": "Second opinion",
                "redirect_uris": [f"{plan.app_url}/callback"],
                "jwks_url": f"{plan.app_url}/.well-known/jwks.json",
                "scopes": EHR_SCOPES,
                "launch_url": f"{plan.app_url}/launch",
                "trusted": True,
            },
            system_client(
                "konsil-backend", keys[f"{hospital.key}-backend"], "system/DocumentReference.cruds system/Patient.rs"
            ),
            system_client("demo-script", keys[f"{hospital.key}-script"], "system/*.rs"),
        ],
        "accounts": [each.account() for each in people.REQUESTERS[hospital.key]],
        "organization": hospital.organization,
    }


def app(plan: Plan, keys: Keys) -> Document:
    """The app's keys and the hospitals that may launch it."""
    return {
        "client": {"client_id": "konsil-app", "key": keys["app"]},
        "system": {"client_id": "konsil-app-system", "key": keys["app-system"]},
        "tenants": [app_tenant(plan, hospital, keys) for hospital in HOSPITALS],
    }


def app_tenant(plan: Plan, hospital: Hospital, keys: Keys) -> Document:
    """One hospital as the app knows it."""
    issuer = f"{plan.ehr_url}/{hospital.key}"
    return {
        "name": hospital.key,
        "title": hospital.title,
        "fhir_base": f"{issuer}/fhir",
        "issuer": issuer,
        "jwks_url": f"{issuer}/oauth/jwks",
        "client_id": "konsil",
        "backend": {
            "client_id": "konsil-backend",
            "token_url": f"{issuer}/oauth/token",
            "scope": "system/DocumentReference.cruds system/Patient.rs",
            "key": keys[f"{hospital.key}-backend"],
        },
        "frame_origins": [plan.ehr_url],
        "patient_identifier_system": hospital.mrn_system,
        "organization": hospital.organization,
        "style": hospital.key,
    }


def gateway(plan: Plan) -> Document:
    """The outside PACS as our gateway knows it, the radiologists' PACS it sends to, and the readers' workstation."""
    outside = plan.outside or OutsidePeer(OUTSIDE_AE_TITLE, plan.ports.outside_scp)
    pacs = {
        "name": "st-anna",
        "title": OUTSIDE_TITLE,
        "ae_title": outside.ae_title,
        "host": outside.host,
        "port": outside.port,
        "issuer": OUTSIDE_ISSUER,
        "issuer_oid": ISSUER_OID,
        "can": list(outside.can),
    }
    destinations = [
        {
            "name": each.name,
            "ae_title": each.ae_title,
            "host": each.host,
            "port": each.port,
            "can": ["store"],
            "forward": True,
            "id_domain": HOSPITALS[0].issuer,
        }
        for each in plan.destinations
    ]
    return {"peers": [pacs, *destinations, *([reading_room(plan)] if plan.workstation else [])]}


def reading_room(plan: Plan) -> Document:
    """The workstation that every reader may send the studies of a case to."""
    return {
        "name": "workstation",
        "title": WORKSTATION_TITLE,
        "ae_title": WORKSTATION_AE_TITLE,
        "port": plan.ports.workstation_scp,
        "can": ["store"],
        "readers": ["*"],
    }


def workstation(plan: Plan) -> Document:
    """Our gateway as the workstation knows it: it only sends there."""
    return {
        "peers": [{"name": "konsil", "title": "konsil", "ae_title": OUR_AE_TITLE, "port": plan.ports.scp, "can": []}]
    }


def outside_pacs(plan: Plan) -> Document:
    """Our gateway as the outside PACS knows it, and the modality that fills its archive."""
    ours = {"name": "konsil", "title": "konsil", "ae_title": OUR_AE_TITLE, "port": plan.ports.scp, "can": ["store"]}
    modality = {"name": "modality", "title": "Modalities", "ae_title": "MODALITY", "can": []}
    return {"peers": [ours, modality]}
