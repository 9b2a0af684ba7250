"""Run every measurement and print its numbers: `python -m tests.bench [NAME ...]`."""

import importlib
import pkgutil
import sys

import tests.bench


def main(names: list[str]) -> None:
    modules = [name for _, name, _ in pkgutil.iter_modules(tests.bench.__path__) if not name.startswith("_")]
    for name in names or modules:
        for line in importlib.import_module(f"tests.bench.{name}").measure():
            print(f"{name:<12} {line}", flush=True)


main(sys.argv[1:])
