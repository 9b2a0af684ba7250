"""Migrations shipped in a package, run at start by whoever comes first."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from konsil import migrate
from konsil.database import sync_engine

FIRST = """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

def upgrade():
    op.create_table("case_note", sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.Text))
"""
SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

def upgrade():
    with op.batch_alter_table("case_note") as table:
        table.alter_column("text", new_column_name="words", existing_type=sa.Text)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `some_program` with one migration; yields the folder of its migrations."""
    versions = tmp_path / "packages" / "some_program" / "store" / "migrations" / "versions"
    versions.mkdir(parents=True)
    for folder in list(versions.parents)[:3]:
        (folder / "__init__.py").touch()
    (versions / "0001_first.py").write_text(FIRST)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    yield versions
    sys.modules.pop("some_program", None)


def columns(url: str) -> set[str]:
    engine = sync_engine(url)
    names = {column["name"] for column in inspect(engine).get_columns("case_note")}
    engine.dispose()
    return names


def test_upgrade_goes_to_the_newest_and_is_idempotent(database_url: str, package: Path) -> None:
    assert migrate.behind(database_url, "some_program", "alembic_version_some")
    migrate.upgrade(database_url, "some_program", "alembic_version_some")
    assert columns(database_url) == {"id", "text"}
    (package / "0002_second.py").write_text(SECOND)
    assert migrate.behind(database_url, "some_program", "alembic_version_some")
    for _ in range(2):
        migrate.upgrade(database_url, "some_program", "alembic_version_some")
    assert columns(database_url) == {"id", "words"}
    assert not migrate.behind(database_url, "some_program", "alembic_version_some")


def test_many_at_once_do_it_once(database_url: str, package: Path) -> None:
    def upgrade(_: int) -> None:
        migrate.upgrade(database_url, "some_program", "alembic_version_some")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(upgrade, range(6)))
    assert columns(database_url) == {"id", "text"}


def test_a_broken_migration_changes_nothing(database_url: str, package: Path) -> None:
    (package / "0002_broken.py").write_text(SECOND + "        raise ZeroDivisionError\n")
    with pytest.raises(ZeroDivisionError):
        migrate.upgrade(database_url, "some_program", "alembic_version_some")
    engine = sync_engine(database_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_package_without_migrations_is_told(tmp_path: Path) -> None:
    with pytest.raises(migrate.MigrationsMissing):
        migrate.upgrade(f"sqlite:///{tmp_path}/test.db", "konsil", "alembic_version_none")


@pytest.mark.parametrize("name", ["fhir_server", "smart_app", "dicom_gateway"])
def test_the_heads_are_those_that_alembic_finds(name: str) -> None:
    folder = migrate._folder(name)
    assert migrate.heads(folder) == set(ScriptDirectory(folder).get_heads())


def test_a_start_with_nothing_to_do_imports_no_alembic(database_url: str, package: Path) -> None:
    migrate.upgrade(database_url, "some_program", "alembic_version_some")
    code = (
        "import sys; from konsil import migrate\n"
        f"migrate.upgrade({database_url!r}, 'some_program', 'alembic_version_some')\n"
        "assert 'alembic' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": f"{package.parents[3]}:{Path.cwd()}"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
