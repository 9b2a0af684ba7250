"""`python3 -m deploy.setup [--tests]`: bring the tree to where it runs; only what has changed is done again."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deploy.setup import clients, debian, definitions, environment, examples, frontend, hapi, keycloak, units
from deploy.setup.run import SetupError

ROOT = Path(__file__).resolve().parent.parent.parent
STAMPS = ROOT / "build" / "stamps"


@dataclass(frozen=True)
class Step:
    """One part of the set-up: done again when `key` is not what the stamp of the last time says."""

    name: str
    key: Callable[[], str]
    run: Callable[[], None]

    @property
    def stamp(self) -> Path:
        """The file that holds the key of the last time."""
        return STAMPS / self.name.replace(" ", "-").replace("/", "-")

    def ready(self) -> bool:
        """Whether nothing has changed since the last time."""
        return self.stamp.exists() and self.stamp.read_text(encoding="utf-8") == self.key()


def steps(tests: bool) -> Iterator[Step]:
    """The steps in their order; Debian packages and examples are for tests only."""
    if tests:
        yield Step("debian packages", debian.key, debian.install)
    yield Step("python packages", partial(environment.key, ROOT), partial(environment.install, ROOT))
    yield Step("r4 definitions", definitions.key, partial(definitions.install, ROOT))
    yield Step("units of measure", units.key, partial(units.install, ROOT))
    if tests:
        yield Step("r4 examples", examples.key, examples.install)
        yield Step("fhir clients", clients.key, partial(clients.install, ROOT))
    for folder in frontend.folders(ROOT):
        name = f"browser packages {folder.relative_to(ROOT)}"
        yield Step(name, partial(frontend.key, folder), partial(frontend.install, folder))
    if frontend.has_viewer(ROOT):
        yield Step("image viewer", partial(frontend.viewer_key, ROOT), partial(frontend.install_viewer, ROOT))


def steps_of_full_tests() -> Iterator[Step]:
    """What only the full tests need."""
    yield Step("hapi", hapi.key, hapi.install)
    yield Step("keycloak", keycloak.key, keycloak.install)


def main() -> None:
    """Do what is not ready, saying what and how long; end with status 1 and one sentence when that fails."""
    parser = argparse.ArgumentParser(prog="python3 -m deploy.setup", description=__doc__)
    parser.add_argument("--tests", action="store_true", help="also what only the tests need")
    parser.add_argument("--full", action="store_true", help="also what only the full tests need")
    arguments = parser.parse_args()
    wanted = [*steps(arguments.tests), *(steps_of_full_tests() if arguments.full else ())]
    waiting = [step for step in wanted if not step.ready()]
    for number, step in enumerate(waiting, 1):
        print(f"set-up {number}/{len(waiting)}: {step.name} ...", flush=True)
        started = time.monotonic()
        try:
            step.run()
        except SetupError as error:
            sys.exit(f"set-up stopped at {step.name}: {error}")
        STAMPS.mkdir(parents=True, exist_ok=True)
        step.stamp.write_text(step.key(), encoding="utf-8")
        print(f"set-up {number}/{len(waiting)}: {step.name} ready after {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
