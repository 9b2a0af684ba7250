"""`python -m tests.screens.guide FOLDER`: put the pictures that docs and README show in their places, small."""

import re
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
GUIDE = ROOT / "docs" / "guide"
SHARED = ROOT / "docs" / "pictures"
TAKEN_AS = {"reading": "reading-room"}
COLOURS = 128


def wanted() -> set[str]:
    """Names of the pictures that the guide's pages show."""
    pages = [each.read_text(encoding="utf-8") for each in sorted(GUIDE.glob("*.md"))]
    return {name for page in pages for name in re.findall(r"\]\(pictures/([\w-]+)\.png\)", page)}


def put(taken: Path) -> list[str]:
    """Copy what was taken, reduced to so many colours; names the pictures that were not."""
    target = GUIDE / "pictures"
    target.mkdir(exist_ok=True)
    places = {target / f"{name}.png": taken / f"{name}.png" for name in wanted()}
    places |= {SHARED / f"{name}.png": taken / f"{source}.png" for name, source in TAKEN_AS.items()}
    for place, source in places.items():
        if source.exists():
            reduce(source, place)
    for stale in target.glob("*.png"):
        if stale.stem not in wanted():
            stale.unlink()
    return sorted(source.stem for source in places.values() if not source.exists())


def reduce(source: Path, place: Path) -> None:
    """Save a picture with fewer colours."""
    with Image.open(source) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(place, optimize=True)


if __name__ == "__main__":
    absent = put(Path(sys.argv[1]))
    sys.exit(f"not taken: {', '.join(absent)}" if absent else 0)
