from tests.fhir_server.auth.world import anyio_backend, app, master_key, module_settings, quick_passwords
from tests.fhir_server.case.town import town

__all__ = ["anyio_backend", "app", "master_key", "module_settings", "quick_passwords", "town"]
