"""The parts of one gateway put together, made once a process and passed on; no globals."""

from dataclasses import dataclass

from sqlalchemy import Engine

from dicom_gateway.archive import Archive
from dicom_gateway.ingest import Ingest
from dicom_gateway.settings import Settings
from konsil.database import sync_engine
from konsil.migrate import upgrade

VERSION_TABLE = "alembic_version_dicom"


@dataclass(frozen=True)
class Gateway:
    """Settings, database, archive and the way in."""

    settings: Settings
    engine: Engine
    archive: Archive
    ingest: Ingest


def open_gateway(settings: Settings) -> Gateway:
    """Bring the database to the newest schema and put the parts together."""
    upgrade(settings.database_url, "dicom_gateway", VERSION_TABLE)
    engine = sync_engine(settings.database_url)
    archive = Archive(settings.data_dir / "archive")
    return Gateway(settings, engine, archive, Ingest(settings, engine, archive))
