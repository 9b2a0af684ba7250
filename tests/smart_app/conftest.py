"""The platform, once for all tests of the app that need servers."""

from collections.abc import Iterator

import pytest

from konsil.secrets import new_master_key
from tests.smart_app.platform import Platform, platform


@pytest.fixture(scope="session")
def master_key() -> Iterator[None]:
    """KONSIL_MASTER_KEY for the session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KONSIL_MASTER_KEY", new_master_key())
        yield


@pytest.fixture(scope="session")
def hospital(master_key: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Two EHR tenants, our FHIR server, the app."""
    with platform(tmp_path_factory.mktemp("platform")) as running:
        yield running
