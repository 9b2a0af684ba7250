"""`python3 -m deploy.setup.reset FOLDER`: remove the demo's state, unless the demo is running."""

import fcntl
import shutil
import sys
from pathlib import Path

_KNOWN = {"demo.json", "up.lock"}


def main(folder: Path) -> str:
    """Remove `folder` and say so.  Exits with a message when a supervisor runs there, or it is no demo folder."""
    if not folder.exists():
        return "There are no demo data. Start with: make demo"
    if not _KNOWN & {path.name for path in folder.iterdir()}:
        sys.exit(f"{folder} does not look like the demo's folder: nothing removed")
    with (folder / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("The demo is running: stop it with Ctrl-C first.")
        shutil.rmtree(folder)
    return "The demo's data are gone. Start over with: make demo"


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
