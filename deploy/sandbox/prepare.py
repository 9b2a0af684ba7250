"""Make the pretend hospital's data, keys and provisioning once; a second time finds everything done."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.sandbox import charts, provision
from deploy.sandbox.demo import demo
from deploy.sandbox.hospitals import HOSPITALS
from deploy.sandbox.imaging import studies
from deploy.sandbox.imaging.lost import lose_half
from deploy.sandbox.keys import Keys, load_or_make
from deploy.sandbox.plan import Plan
from deploy.sandbox.programs import app_env, fhir_env, gateway_env, outside_env, tenant_env, workstation_env
from dicom_gateway.archive import Archive

VERSION = 1
Say = Callable[[str], None]


class PrepareError(Exception):
    """A provisioning command failed; the text is its output."""


def prepare(plan: Plan, say: Say = print) -> dict[str, Any]:
    """Write everything below `plan.directory` and give the content of demo.json.

    Images are drawn into `images/`, provisioning files written to `provision/` and run once: a stamp says that this
    version with these files has been provisioned.  Raises PrepareError.
    """
    plan.directory.mkdir(parents=True, exist_ok=True)
    keys = load_or_make(plan.directory / "keys.json")
    studies.generate(plan.directory / "images", say, plan.keep_every)
    files = write_files(plan, keys)
    content = demo(plan, keys)
    write(plan.directory / "demo.json", content)
    stamp, wanted = plan.directory / "provisioned", fingerprint(files)
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        run_all(plan, keys, say)
        stamp.write_text(wanted, encoding="utf-8")
    return content


def write_files(plan: Plan, keys: Keys) -> list[Path]:
    """The provisioning files, private: some hold keys."""
    folder = plan.directory / "provision"
    folder.mkdir(exist_ok=True)
    documents = {
        "fhir.json": provision.our_server(plan, keys),
        "patients.json": provision.patients(),
        "app.json": provision.app(plan, keys),
        "gateway.json": provision.gateway(plan),
        "outside.json": provision.outside_pacs(plan),
        "workstation.json": provision.workstation(plan),
        "gateway-key.json": keys["gateway"],
    }
    for hospital in HOSPITALS:
        chart = {"resources": charts.resources(hospital.key)}
        documents[f"ehr-{hospital.key}.json"] = provision.tenant(plan, hospital, keys) | chart
    for name, document in documents.items():
        write(folder / name, document)
    return [folder / name for name in documents]


def write(path: Path, content: object) -> None:
    """JSON, readable by its owner only, replaced as a whole."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    fresh.replace(path)


def fingerprint(files: list[Path]) -> str:
    """What was provisioned: version, names and contents."""
    return json.dumps([VERSION, {each.name: each.read_text(encoding="utf-8") for each in files}], sort_keys=True)


def run_all(plan: Plan, keys: Keys, say: Say) -> None:
    """Provision every program from its file, then fill the outside PACS's archive."""
    master = {"KONSIL_MASTER_KEY": keys["master"]}
    commands = [
        ("our FHIR server", ["fhir", "provision", "fhir.json"], fhir_env(plan)),
        ("patients' accounts", ["fhir", "provision", "patients.json"], fhir_env(plan)),
        ("the app", ["app", "provision", "app.json"], app_env(plan)),
        ("the gateway", ["dicom", "provision", "gateway.json"], gateway_env(plan)),
    ]
    commands += [
        (each.title, ["fhir", "provision", f"ehr-{each.key}.json"], tenant_env(plan, each)) for each in HOSPITALS
    ]
    if plan.outside is None:
        commands.append(("the outside PACS", ["dicom", "provision", "outside.json"], outside_env(plan)))
        images = ["dicom", "import", str((plan.directory / "images").resolve())]
        commands.append(("the outside PACS's images", images, outside_env(plan)))
    if plan.workstation:
        commands.append(("the workstation", ["dicom", "provision", "workstation.json"], workstation_env(plan)))
    for title, arguments, env in commands:
        say(f"  setting up {title}")
        run(plan.directory / "provision", arguments, env | master)
    if plan.outside is None:
        lose_half(plan.directory / "images", Archive(plan.data("outside").resolve() / "archive"))


def run(folder: Path, arguments: list[str], env: dict[str, str]) -> None:
    """One `konsil` command in the folder of the files.  Raises PrepareError."""
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "konsil", *arguments],
        cwd=folder,
        env={**os.environ, **env, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PrepareError(f"konsil {' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
