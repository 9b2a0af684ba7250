"""`python -m deploy.access_page`: write the table of labels in docs/access.md from the policy itself."""

from pathlib import Path

from fhir_server.access.labels import KEEPERS, LABELS, Label

PAGE = Path(__file__).resolve().parent.parent / "docs" / "access.md"
BEGIN = "<!-- made from fhir_server/access/labels.py -->"
END = "<!-- end of what is made -->"
HEAD = (
    "| Label | Means | Rule | Patient | Proxy | Own organization, HIM staff, platform's machines | Emergency access |\n"
    "|---|---|---|---|---|---|---|"
)


def section() -> str:
    """The table between its marks."""
    return "\n".join((BEGIN, HEAD, *(row(label) for label in LABELS), END))


def row(label: Label) -> str:
    """One label as a line."""
    system = label.system.rpartition("/")[2]
    patient = "sees it" if "patient" in label.roles else "does not see it here"
    proxy = "sees it" if "proxy" in label.roles else "does not see it here"
    keepers = "see it" if label.roles >= KEEPERS else ", ".join(sorted(label.roles))
    emergency = "opens it" if label.emergency else "leaves it closed"
    return f"| {system} `{label.code}` | {label.title} | {label.rule} | {patient} | {proxy} | {keepers} | {emergency} |"


def main() -> None:
    """Put the table where it belongs."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + section() + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
