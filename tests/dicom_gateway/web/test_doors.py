"""An archive's DICOMweb opens to its one token."""

import httpx
import pytest

from dicom_gateway.gateway import Gateway
from tests.dicom_gateway.web.data import put, slices


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic czNjcmV0"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_door_is_closed_without_the_token(
    archive: Gateway, client: httpx.Client, method: str, authorization: str
) -> None:
    put(archive, *slices(1))
    assert client.request(method, "/studies", headers={"Authorization": authorization}).status_code == 401
