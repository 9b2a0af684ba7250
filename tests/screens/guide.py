"""`python -m tests.screens.guide FOLDER`: put the pictures that docs and README show in their places, small."""

import re
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
GUIDE = ROOT / "docs" / "guide"
COLOURS = 128


def wanted() -> set[str]:
    """Names of the pictures that the guide's pages show."""
    pages = [each.read_text(encoding="utf-8") for each in sorted(GUIDE.glob("*.md"))]
    return {name for page in pages for name in re.findall(r"\]\(pictures/([\w-]+)\.png\)", page)}


def put(taken: Path) -> list[str]:
    """Copy what was taken, reduced to so many colours; names the pictures that were not."""
    target = GUIDE / "pictures"
    target.mkdir(exist_ok=True)
    missing = []
    for name in sorted(wanted()):
        source = taken / f"{name}.png"
        if not source.exists():
            missing.append(name)
            continue
        with Image.open(source) as picture:
            small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            small.save(target / f"{name}.png", optimize=True)
    for stale in target.glob("*.png"):
        if stale.stem not in wanted():
            stale.unlink()
    return missing


if __name__ == "__main__":
    absent = put(Path(sys.argv[1]))
    sys.exit(f"not taken: {', '.join(absent)}" if absent else 0)
