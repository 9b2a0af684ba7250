"""How far the making of cases has come, in a file that the front page reads."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

FILE = "cases.json"


@dataclass
class Progress:
    """What the file says.  It is replaced as a whole, so that a reader never sees half of it."""

    path: Path
    of: int
    done: int = 0
    state: Literal["starting", "making", "done", "stuck"] = "starting"
    now: str = ""
    problem: str = ""

    def tell(self, **changes: str | int) -> None:
        """Change and write."""
        for name, value in changes.items():
            setattr(self, name, value)
        content = {name: value for name, value in asdict(self).items() if name != "path"}
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        fresh.replace(self.path)
