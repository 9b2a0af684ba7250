"""A gateway with real data sets in a real archive and index, its web application behind a real server."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dicom_gateway.app import create_app
from dicom_gateway.gateway import Gateway, open_gateway
from dicom_gateway.settings import Settings
from tests.dicom_gateway.web.serving import serving

TOKEN = "s3cret-token-of-the-archive"


def settings_for(folder: Path, **values: object) -> Settings:
    """Settings of a gateway that lives in a folder."""
    defaults: dict[str, object] = {"data_dir": folder / "dicom", "database_url": f"sqlite:///{folder}/index.db"}
    return Settings(**{**defaults, **values})  # type: ignore[arg-type]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway in archive mode: what comes in is released at once."""
    gateway = open_gateway(settings_for(tmp_path, mode="archive", web_token=TOKEN))
    yield gateway
    gateway.ingest.close()
    gateway.engine.dispose()


@pytest.fixture
def client(archive: Gateway) -> Iterator[httpx.Client]:
    """A DICOMweb client of that archive, with its token; paths are relative to the DICOMweb root."""
    with serving(lambda base: create_app(archive)) as base:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=f"{base}/dicom-web", headers=headers, trust_env=False) as client:
            yield client
