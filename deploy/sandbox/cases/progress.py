"""How far the making of cases has come, in a file that the front page reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

FILE = "cases.json"


@dataclass
class Progress:
    """What the file says, and the keys of the stories made.  It is replaced whole: no reader sees half of it."""

    path: Path
    of: int
    made: list[str] = field(default_factory=list)
    state: Literal["starting", "making", "done", "stuck"] = "starting"
    now: str = ""
    problem: str = ""

    @classmethod
    def read(cls, path: Path, wanted: Sequence[str]) -> "Progress":
        """Go on from an earlier run."""
        made = json.loads(path.read_text(encoding="utf-8"))["made"] if path.exists() else []
        return cls(path, len(wanted), [key for key in made if key in wanted])

    def tell(self, **changes: str) -> None:
        """Change and write."""
        for name, value in changes.items():
            setattr(self, name, value)
        names = ("state", "of", "now", "problem", "made")
        content = {"done": len(self.made)} | {name: getattr(self, name) for name in names}
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        fresh.replace(self.path)

    def add(self, key: str) -> None:
        """One more is made."""
        self.made.append(key)
        self.tell(problem="")
