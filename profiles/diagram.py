"""The state table as a Mermaid diagram and as tables: `python -m profiles.diagram` rewrites docs/case.md."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import profiles

BEGIN, END = "<!-- made from profiles/case-states.json -->", "<!-- end of what is made -->"
EVERYWHERE = 10
"""A step from so many states is told in words: its arrows would hide all others."""


def diagram(table: dict[str, Any]) -> Iterator[str]:
    """States and steps, the steps between the same two states on one arrow."""
    yield from ("```mermaid", "stateDiagram-v2", "    direction TB")
    for code, state in table["states"].items():
        yield f'    state "{state["title"]}" as {_name(code)}'
    arrows: dict[tuple[str, str], list[str]] = {}
    for step in table["steps"]:
        for source in step["from"] if len(step["from"]) < EVERYWHERE else ():
            arrows.setdefault((_name(source), _name(step["to"])), []).append(step["name"])
    for (source, target), names in arrows.items():
        yield f"    {source} --> {target}: {', '.join(names)}"
    yield "```"


def states(table: dict[str, Any]) -> Iterator[str]:
    """One row a state."""
    yield from ("| businessStatus | Means | ServiceRequest | Task | Owner |", "|---|---|---|---|---|")
    for code, state in table["states"].items():
        pair = (", ".join(state[one]) for one in ("ServiceRequest", "Task"))
        yield f"| `{code}` | {state['title']} | {' | '.join(pair)} | {state['owner']} |"


def steps(table: dict[str, Any]) -> Iterator[str]:
    """One row a step."""
    yield from ("| Step | Who | From | To | Needs, or what the server adds |", "|---|---|---|---|---|")
    for step in table["steps"]:
        every = len(step["from"]) >= EVERYWHERE
        source = "every state" if every else ", ".join(one or "nothing" for one in step["from"])
        more = [*step["needs"], *(f"server writes {one}" for one in step["server"])]
        owner = [] if step["owner"] in {"keep", "any"} else [f"{step['owner']} owner"]
        yield f"| {step['name']} | {', '.join(step['by'])} | {source} | {step['to']} | {', '.join(owner + more)} |"


def section() -> str:
    """Everything between the two marks of docs/case.md."""
    table = profiles.load("case-states.json")
    parts = (diagram(table), states(table), steps(table))
    return "\n\n".join([BEGIN, *("\n".join(part) for part in parts), END])


def _name(code: str | None) -> str:
    return "[*]" if code is None else code.replace("-", "_")


if __name__ == "__main__":
    path = Path(__file__).resolve().parent.parent / "docs" / "case.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    path.write_text(before + section() + rest.partition(END)[2], encoding="utf-8")
