"""`python -m tests.conformance.dicomweb.compare`: run the suite against our server and Orthanc, write the page."""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.peers import orthanc

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(__file__).resolve().parent
PAGE = ROOT / "docs" / "conformance" / "dicomweb.md"
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
MARK = re.compile(
    r'^@pytest\.mark\.spec\("([^"]+)"\)\n(?:@.*\n(?:    .*\n|\)\n|    \]?\)?,?\n)*)*def test_(\w+)', re.MULTILINE
)
HEAD = """# DICOMweb: what is shown, and how Orthanc does beside it

Written by `python -m tests.conformance.dicomweb.compare`, which runs `tests/conformance/dicomweb` against our own server
and against Debian's Orthanc with its DICOMweb plug-in; a test fails when a line is missing here or ours has not passed.
The suite runs against any server:

    python -m pytest -n 0 tests/conformance/dicomweb --base-url https://pacs.example/dicom-web --header "Authorization: Bearer ..."

It stores small objects there under UIDs of its own. A line is one test with its clause; where a test has several cases
the number of those passed is given. A failure says that an answer was not what the test takes the clause to ask for: it
may be a choice that the clause leaves open (single parts, ETags), as the test file shows.
"""  # noqa: E501


@dataclass(frozen=True)
class Line:
    """One test of the suite: its file, its clause and its name."""

    file: str
    clause: str
    name: str


def lines() -> list[Line]:
    """Every test of the suite, in the order of the files."""
    return [
        Line(path.stem, clause, name)
        for path in sorted(FOLDER.glob("test_*.py"))
        for clause, name in MARK.findall(path.read_text(encoding="utf-8"))
    ]


def outcomes(*options: str) -> Mapping[tuple[str, str], Counter[bool]]:
    """How many cases of each test passed and failed, by a run of its own."""
    found: dict[tuple[str, str], Counter[bool]] = {}
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", str(FOLDER), f"--junitxml={report.name}"]
        subprocess.run([*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        for case in ElementTree.parse(report.name).iter("testcase"):
            test = case.get("name", "").removeprefix("test_").partition("[")[0]
            passed = case.find("failure") is None and case.find("error") is None
            found.setdefault((case.get("classname", "").rpartition(".")[2], test), Counter())[passed] += 1
    return found


def beside() -> tuple[str, Mapping[tuple[str, str], Counter[bool]]]:
    """The version of Orthanc, and its outcomes."""
    options: dict[str, object] = {"Plugins": [PLUGIN], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with tempfile.TemporaryDirectory() as folder, orthanc(Path(folder), our_port=None, options=options) as peer:
        return version(), outcomes("--base-url", f"{peer.http}/dicom-web")


def version() -> str:
    """What Orthanc calls itself, and its plug-in."""
    packages = ["orthanc", "orthanc-dicomweb"]
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version}, ", *packages], check=True, capture_output=True, text=True
    )
    return asked.stdout.rstrip(", ")


def shown(counts: Counter[bool]) -> str:
    """An outcome in a word or two."""
    if not counts[False]:
        return "yes"
    return "no" if not counts[True] else f"{counts[True]} of {counts.total()}"


def page(tests: Sequence[Line]) -> str:
    """Run both and write the comparison down."""
    ours = outcomes()
    name, theirs = beside()
    totals = [sum((counts for counts in side.values()), Counter()) for side in (ours, theirs)]
    text = [
        HEAD,
        f"\nkonsil: {totals[0][True]} of {totals[0].total()} cases.",
        f"{name}: {totals[1][True]} of {totals[1].total()}.\n",
    ]
    for file in sorted({line.file for line in tests}):
        text += [f"\n## {file.removeprefix('test_')}\n", "| test | clause | konsil | Orthanc |", "|---|---|---|---|"]
        for line in (line for line in tests if line.file == file):
            key = (line.file, line.name)
            text.append(
                f"| {line.name.replace('_', ' ')} | {line.clause} | {shown(ours[key])} | {shown(theirs[key])} |"
            )
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(lines()), encoding="utf-8")
