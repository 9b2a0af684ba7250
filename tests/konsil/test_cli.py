"""The command: names known without imports, programs imported only when called."""

import subprocess
import sys
import tomllib
from pathlib import Path

from click.testing import CliRunner

from konsil.cli import _SHIPPED, main

ROOT = Path(__file__).parent.parent.parent


def test_help_lists_every_program() -> None:
    answer = CliRunner().invoke(main, ["--help"])
    assert answer.exit_code == 0
    for name in _SHIPPED:
        assert f"  {name} " in answer.output


def test_an_unknown_command_is_told() -> None:
    answer = CliRunner().invoke(main, ["nonsense"])
    assert answer.exit_code == 2
    assert "No such command 'nonsense'" in answer.output


def test_the_table_says_what_the_distribution_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["konsil.commands"] == _SHIPPED


def test_help_imports_no_program() -> None:
    code = (
        "import sys, konsil.cli; konsil.cli.main(['--help'], standalone_mode=False)\n"
        "programs = {name.split('.')[0] for name in sys.modules} & {'fhir_server', 'smart_app', 'dicom_gateway'}\n"
        "assert not programs, programs"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
