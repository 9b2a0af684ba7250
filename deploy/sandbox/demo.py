"""`demo.json`: every address, user, client and key of the demo, for people and scripts."""

from typing import Any
from urllib.parse import quote

from deploy.sandbox import people
from deploy.sandbox.hospitals import HOSPITALS, OUR_AE_TITLE, OUTSIDE_AE_TITLE, WORKSTATION_AE_TITLE, Hospital
from deploy.sandbox.keys import Keys
from deploy.sandbox.plan import Plan
from deploy.sandbox.programs import programs

TRY = {
    "requester": "Open a patient's chart, choose “Second opinion”, ask a question, attach the outside images, send.",
    "him": "Open the inbox, compare the outside study with the patient, accept it.",
    "coordinator": "Open the board, offer the case to a consultant.",
    "programme-manager": "Open the board: how many cases run, and which are late.",
    "privacy-officer": "See who looked at a patient, and what a person saw.",
    "administrator": "See which hospitals, programs and people work with konsil, and change what they may.",
    "consultant": f"Accept the case, read the images, write the report and sign it with the PIN {people.PIN}.",
    "patient": "See where your second opinion stands, read the answer in plain words, see who looked at your record.",
    "proxy": "See the same for your daughter, for whom you act.",
    "radiologist": "Read the images again, send them to the reading room's workstation, sign with the same PIN.",
}


def demo(plan: Plan, keys: Keys) -> dict[str, Any]:
    """The whole content; `programs` and `open` are what `konsil up` reads."""
    return {
        "open": {"url": f"{plan.ehr_url}/", "people": who(plan)},
        "fhir": {
            "konsil": server(f"{plan.fhir_url}", "interface-engine-demo", keys["interface-engine"]),
            **{
                each.key: server(f"{plan.ehr_url}/{each.key}", "demo-script", keys[f"{each.key}-script"])
                for each in HOSPITALS
            },
        },
        "app": {"url": plan.app_url, "launch_url": f"{plan.app_url}/launch", "client_id": "konsil"},
        "dicom": {
            "gateway": {
                "ae_title": OUR_AE_TITLE,
                "host": "127.0.0.1",
                "port": plan.ports.scp,
                "dicomweb": f"{plan.gateway_url}/dicom-web",
                "viewer": plan.gateway_url,
            },
            "outside": {
                "ae_title": plan.outside.ae_title if plan.outside else OUTSIDE_AE_TITLE,
                "host": "127.0.0.1",
                "port": plan.outside.port if plan.outside else plan.ports.outside_scp,
            },
            "workstation": {
                "ae_title": WORKSTATION_AE_TITLE,
                "host": "127.0.0.1",
                "port": plan.ports.workstation_scp,
            },
        },
        "programs": programs(plan, keys["master"]),
    }


def server(base: str, client_id: str, key: dict[str, Any]) -> dict[str, Any]:
    """A FHIR server with one backend-services client for scripts."""
    return {
        "base": f"{base}/fhir",
        "issuer": base,
        "token_url": f"{base}/oauth/token",
        "backend_client": {"client_id": client_id, "private_key": key},
    }


def who(plan: Plan) -> list[dict[str, str]]:
    """Who one can be: name, role, user, password, where, what to try."""
    return [
        *(physician(plan, each) for each in HOSPITALS),
        *(colleague(plan, each) for each in people.STAFF),
        *(outsider(plan, each) for each in people.OUTSIDERS),
    ]


def physician(plan: Plan, hospital: Hospital) -> dict[str, str]:
    """Somebody who asks; `door` signs in by a click."""
    tenant, who = f"{plan.ehr_url}/{hospital.key}", people.PHYSICIANS[hospital.key]
    place = {"where": f"{tenant}/", "door": f"{tenant}/become/{who.username}"}
    return person(who, f"requester at {hospital.title}", "requester") | place


def colleague(plan: Plan, who: people.Person) -> dict[str, str]:
    """Somebody of the second-opinion service."""
    where = f"{plan.app_url}/sign-in"
    place = {"where": where, "door": f"{where}?login_hint={who.username}"}
    return person(who, who.specialty or who.roles[0], who.roles[0]) | place


def outsider(plan: Plan, who: people.Outsider) -> dict[str, str]:
    """A patient, or who acts for one."""
    where = f"{plan.app_url}/sign-in"
    return {
        "name": who.name,
        "role": "patient" if who.acts is None else "mother of a patient",
        "roles": who.role,
        "user": who.username,
        "password": people.PASSWORD,
        "pin": "",
        "try": TRY[who.role],
        "where": where,
        "door": f"{where}?login_hint={quote(who.username)}",
    }


def person(each: people.Person, role: str, does: str) -> dict[str, str]:
    """Who somebody is and what to try as them."""
    return {
        "name": each.name,
        "role": role,
        "roles": " ".join(each.roles),
        "user": each.username,
        "password": people.PASSWORD,
        "pin": people.PIN if "consultant" in each.roles else "",
        "try": TRY.get(does, ""),
    }
