"""A page may load 60 kB of script at most, the image viewer apart: all that the app has together stays below that."""

from pathlib import Path

STATIC = Path(__file__).parent.parent.parent / "smart_app" / "static"
BUDGET_BYTES = 60_000


def test_all_scripts_together_stay_within_the_budget_of_one_page() -> None:
    scripts = [*STATIC.glob("*.js"), STATIC / "vendor" / "htmx.min.js"]
    assert len(scripts) > 3
    sizes = {each.name: each.stat().st_size for each in scripts}
    assert sum(sizes.values()) <= BUDGET_BYTES, sizes
