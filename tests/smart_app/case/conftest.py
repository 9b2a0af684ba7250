"""A platform of their own for cases that run through many hands: other tests count what a patient has."""

from collections.abc import Iterator

import pytest

from tests.smart_app.platform import Platform, platform


@pytest.fixture(scope="package")
def hospital(master_key: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Two EHR tenants, our FHIR server, the app."""
    with platform(tmp_path_factory.mktemp("cases")) as running:
        yield running
