from tests.dicom_gateway.web.conftest import archive, client

__all__ = ["archive", "client"]
