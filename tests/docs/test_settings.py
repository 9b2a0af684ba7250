"""docs/settings.md names every setting of every program."""

import pytest
from pydantic_settings import BaseSettings

from deploy.settings_page import PAGE, classes, rows

CLASSES = [pytest.param(settings, id=title) for title, settings in classes()]


@pytest.mark.parametrize("settings", CLASSES)
def test_every_setting_is_on_the_page(settings: type[BaseSettings]) -> None:
    lines = set(PAGE.read_text(encoding="utf-8").splitlines())
    missing = [row for row in rows(settings) if row not in lines]
    assert not missing, "run `make docs`: docs/settings.md lacks\n" + "\n".join(missing)


@pytest.mark.parametrize("settings", CLASSES)
def test_every_setting_says_what_it_means_and_none_changes_later(settings: type[BaseSettings]) -> None:
    mute = [name for name, field in settings.model_fields.items() if not field.description]
    assert not mute, f"no description: {mute}"
    assert settings.model_config.get("frozen"), "settings are read once"
