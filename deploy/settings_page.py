"""`python -m deploy.settings_page`: write docs/settings.md from the settings classes themselves."""

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
MODULES = {
    "fhir_server.settings": "fhir_server",
    "smart_app.settings": "smart_app",
    "dicom_gateway.settings": "dicom_gateway",
    "deploy.sandbox.settings": "The sandbox (a pretend hospital)",
}
HEAD = """# Settings

Every program reads its settings once, at start, from environment variables.  Lists and tables are written as JSON.
This page is written by `make docs` from the settings classes; a test fails when it lacks one.

## All programs

| variable | default | meaning |
|---|---|---|
| `KONSIL_MASTER_KEY` | none | seals secrets at rest: 32 random bytes in base64, one for all processes |
"""


def classes() -> Iterator[tuple[str, type[BaseSettings]]]:
    """The settings classes that exist, each with the title of its section."""
    for module_name, title in MODULES.items():
        if not _exists(module_name):
            continue
        module = importlib.import_module(module_name)
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseSettings) and value.__module__ == module_name:
                yield title, value


def row(settings: type[BaseSettings], name: str, field: FieldInfo) -> str:
    """One setting as a line of the table."""
    variable = f"{settings.model_config.get('env_prefix', '')}{name}".upper()
    meaning = (field.description or "").strip().rstrip(".").replace("|", "\\|")
    return f"| `{variable}` | {_default(field)} | {meaning} |"


def rows(settings: type[BaseSettings]) -> list[str]:
    """All settings of a class."""
    return [row(settings, name, field) for name, field in settings.model_fields.items()]


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, settings in classes():
        lines = "\n".join(rows(settings))
        parts.append(f"\n## {title}\n\n| variable | default | meaning |\n|---|---|---|\n{lines}\n")
    return "".join(parts)


def _exists(module_name: str) -> bool:
    return importlib.util.find_spec(module_name) is not None


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if field.default_factory in (dict, list):
        return "empty"
    if value is PydanticUndefined:
        return "required" if field.default_factory is None else "computed"
    return "none" if value is None or value == "" else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
