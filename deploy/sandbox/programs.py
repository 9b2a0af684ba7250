"""The programs of the demo with their settings, as `konsil up` runs them."""

import json
from typing import Any

from deploy.sandbox.hospitals import HOSPITALS, LAKESIDE, OUR_AE_TITLE, OUTSIDE_AE_TITLE, WORKSTATION_AE_TITLE, Hospital
from deploy.sandbox.plan import Plan
from fhir_server.settings import cache_folder

Program = dict[str, Any]


def fhir_env(plan: Plan) -> dict[str, str]:
    """Our own fhir_server."""
    return {
        "KONSIL_FHIR_DATABASE_URL": plan.database("fhir"),
        "KONSIL_FHIR_DATA_DIR": str(plan.data("fhir").resolve()),
        "KONSIL_FHIR_PORT": str(plan.ports.fhir),
        "KONSIL_FHIR_BASE_URL": plan.fhir_url,
        "KONSIL_FHIR_COOKIE_NAME": "konsil-fhir",
        "KONSIL_FHIR_DEMO_SIGN_IN": "true",
    }


def tenant_env(plan: Plan, hospital: Hospital) -> dict[str, str]:
    """An EHR tenant's fhir_server, which runs inside the EHR's process."""
    folder = plan.data(f"ehr-{hospital.key}").resolve()
    return {
        "KONSIL_FHIR_DATABASE_URL": f"sqlite:///{folder / 'fhir.db'}",
        "KONSIL_FHIR_DATA_DIR": str(folder),
        "KONSIL_FHIR_BASE_URL": f"{plan.ehr_url}/{hospital.key}",
        "KONSIL_FHIR_COOKIE_NAME": f"ehr-{hospital.key}",
        "KONSIL_FHIR_PRODUCT_NAME": hospital.title,
        "KONSIL_FHIR_PUBLISH_PROFILES": "false",
        "KONSIL_FHIR_AUDIT": "false",  # what a hospital audits in its own record is its own matter
        "KONSIL_FHIR_DEMO_SIGN_IN": "true",
    }


def ehr_env(plan: Plan) -> dict[str, str]:
    """The EHR: the settings of both tenants travel as JSON."""
    return {
        "KONSIL_EHR_HOST": "127.0.0.1",
        "KONSIL_EHR_PORT": str(plan.ports.ehr),
        "KONSIL_EHR_BASE_URL": plan.ehr_url,
        "KONSIL_EHR_APP_URL": plan.app_url,
        "KONSIL_EHR_DEMO_FILE": str((plan.directory / "demo.json").resolve()),
        "KONSIL_EHR_TENANTS": json.dumps({each.key: tenant_env(plan, each) for each in HOSPITALS}),
    }


def app_env(plan: Plan) -> dict[str, str]:
    """smart_app and its worker."""
    return {
        "KONSIL_APP_DATABASE_URL": plan.database("app"),
        "KONSIL_APP_DATA_DIR": str(plan.data("app").resolve()),
        "KONSIL_APP_PORT": str(plan.ports.app),
        "KONSIL_APP_BASE_URL": plan.app_url,
        "KONSIL_APP_FHIR_BASE_URL": f"{plan.fhir_url}/fhir",
        "KONSIL_APP_FHIR_ISSUER": plan.fhir_url,
        "KONSIL_APP_GATEWAY_URL": plan.gateway_url,
        "KONSIL_APP_SWEEP_SECONDS": str(plan.poll_seconds),
        "KONSIL_APP_TIME_ZONE": LAKESIDE.time_zone,
        "KONSIL_APP_GUIDED_VISITS": str(plan.guided_visits).lower(),
        **broker(plan, "APP", "app"),
    }


def gateway_env(plan: Plan) -> dict[str, str]:
    """Our dicom_gateway: web, listener and worker."""
    return {
        "KONSIL_DICOM_MODE": "gateway",
        "KONSIL_DICOM_DATABASE_URL": plan.database("dicom"),
        "KONSIL_DICOM_DATA_DIR": str(plan.data("dicom").resolve()),
        "KONSIL_DICOM_PORT": str(plan.ports.gateway),
        "KONSIL_DICOM_BASE_URL": plan.gateway_url,
        "KONSIL_DICOM_AE_TITLE": OUR_AE_TITLE,
        "KONSIL_DICOM_DIMSE_PORT": str(plan.ports.scp),
        "KONSIL_DICOM_FHIR_BASE_URL": f"{plan.fhir_url}/fhir",
        "KONSIL_DICOM_FHIR_TOKEN_URL": f"{plan.fhir_url}/oauth/token",
        "KONSIL_DICOM_FHIR_KEY_FILE": str((plan.directory / "provision" / "gateway-key.json").resolve()),
        "KONSIL_DICOM_POLL_SECONDS": str(plan.poll_seconds),
        "KONSIL_DICOM_ID_DOMAINS": json.dumps({each.mrn_system: each.issuer for each in HOSPITALS}),
        "KONSIL_DICOM_TIME_ZONE": LAKESIDE.time_zone,
        "KONSIL_DICOM_VIEWER_DIR": str(cache_folder() / "viewer"),
        "KONSIL_DICOM_FRAME_ANCESTORS": json.dumps([plan.app_url, plan.ehr_url]),
        **broker(plan, "DICOM", "dicom"),
    }


def outside_env(plan: Plan) -> dict[str, str]:
    """The outside PACS: a gateway that is a plain archive."""
    return archive_env(plan, "outside", OUTSIDE_AE_TITLE, (plan.ports.outside_web, plan.ports.outside_scp))


def workstation_env(plan: Plan) -> dict[str, str]:
    """The workstation of the reading room: another such archive, with nothing in it until somebody sends something."""
    return archive_env(
        plan, "workstation", WORKSTATION_AE_TITLE, (plan.ports.workstation_web, plan.ports.workstation_scp)
    )


def archive_env(plan: Plan, name: str, ae_title: str, ports: tuple[int, int]) -> dict[str, str]:
    """A gateway in archive mode, with its ports for the web and for DICOM."""
    folder = plan.data(name).resolve()
    return {
        "KONSIL_DICOM_MODE": "archive",
        "KONSIL_DICOM_DATABASE_URL": f"sqlite:///{folder / 'dicom.db'}",
        "KONSIL_DICOM_DATA_DIR": str(folder),
        "KONSIL_DICOM_PORT": str(ports[0]),
        "KONSIL_DICOM_BASE_URL": f"http://127.0.0.1:{ports[0]}",
        "KONSIL_DICOM_AE_TITLE": ae_title,
        "KONSIL_DICOM_DIMSE_PORT": str(ports[1]),
    }


def broker(plan: Plan, prefix: str, name: str) -> dict[str, str]:
    """Celery's broker of one program: a folder of its own, or a numbered Redis database."""
    if plan.broker_url:
        number = {"app": 1, "dicom": 2}[name]
        return {f"KONSIL_{prefix}_BROKER_URL": f"{plan.broker_url.rstrip('/')}/{number}"}
    return {f"KONSIL_{prefix}_BROKER_DIR": str((plan.data(name) / "broker").resolve())}


def programs(plan: Plan, master_key: str) -> list[Program]:
    """All programs, in the format of `konsil up`."""
    ports = plan.ports
    key = {"KONSIL_MASTER_KEY": master_key}
    listed = [
        program("ehr", "python -m deploy.sandbox serve", ehr_env(plan), web(ports.ehr), ["fhir_server"]),
        program("fhir_server", "konsil fhir serve", fhir_env(plan), web(ports.fhir)),
        program("dicom_gateway", "konsil dicom serve", gateway_env(plan), web(ports.gateway), ["fhir_server"]),
        program("dicom_listener", "konsil dicom scp", gateway_env(plan), tcp(ports.scp), ["fhir_server"]),
        program("dicom_worker", "konsil dicom worker", gateway_env(plan), None, ["dicom_gateway"]),
        program("smart_app", "konsil app serve", app_env(plan), web(ports.app), ["fhir_server"]),
        program("app_worker", "konsil app worker", app_env(plan), None, ["smart_app"]),
    ]
    if plan.outside is None:
        listed.append(program("outside_pacs", "konsil dicom all", outside_env(plan), tcp(ports.outside_scp)))
        listed[-1]["ports"].append(ports.outside_web)
    if plan.workstation:
        listed.append(program("workstation", "konsil dicom all", workstation_env(plan), tcp(ports.workstation_scp)))
        listed[-1]["ports"].append(ports.workstation_web)
    if plan.cases:
        listed.append(case_maker(plan, [each["name"] for each in listed]))
    return [{**each, "env": {**each["env"], **key}} for each in listed]


def case_maker(plan: Plan, others: list[str]) -> Program:
    """The program that makes cases at every stage, once all others run; it ends when they are made."""
    command = ["python", "-m", "deploy.sandbox", "cases", "--dir", str(plan.directory.resolve()), "--pause", "1"]
    return {**program("cases", "", {}, None, others), "command": command, "once": True}


def program(
    name: str, command: str, env: dict[str, str], health: tuple[str, int] | None, depends: list[str] | None = None
) -> Program:
    """One entry."""
    return {
        "name": name,
        "command": command.split(),
        "env": env,
        "ports": [health[1]] if health else [],
        "health": health[0] if health else None,
        "depends": depends or [],
    }


def web(port: int) -> tuple[str, int]:
    """Healthy when /healthz answers 200."""
    return f"http://127.0.0.1:{port}/healthz", port


def tcp(port: int) -> tuple[str, int]:
    """Healthy when it accepts connections."""
    return f"tcp:127.0.0.1:{port}", port
