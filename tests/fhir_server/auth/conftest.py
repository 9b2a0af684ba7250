from tests.fhir_server.auth.world import (
    anyio_backend,
    app,
    key_server,
    master_key,
    module_settings,
    quick_passwords,
    world,
)

__all__ = ["anyio_backend", "app", "key_server", "master_key", "module_settings", "quick_passwords", "world"]
