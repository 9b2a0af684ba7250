"""Keys and tenants as they were provisioned: upserted from a file, read by every request that needs them."""

from sqlalchemy import Engine, Select, delete, insert, select

from konsil.database import reader
from smart_app.store import register
from smart_app.store.models import client_key, tenant
from smart_app.store.sealed import open_json, open_model, seal_json
from smart_app.tenants import NamedKey, Provision, Tenant, base_url


class ProvisionedStore:
    """The allow-list of hospitals and the app's own keys."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.reads = reader(engine)

    def provision(self, content: Provision, *, deactivate_others: bool = False) -> list[str]:
        """Replace keys and upsert tenants; what the file does not name stays as it is, or (`deactivate_others`) is
        deactivated: gives the names.
        """
        with self.engine.begin() as connection:
            for name, named in (("client", content.client), ("system", content.system)):
                connection.execute(delete(client_key).where(client_key.c.name == name))
                row = {"name": name, "client_id": named.client_id, "key": seal_json(named.key)}
                connection.execute(insert(client_key).values(**row))
            for each in content.tenants:
                register.put(connection, each)
            return register.deactivate_others(connection, content.tenants) if deactivate_others else []

    def key(self, name: str) -> NamedKey | None:
        """The app's key as `client` (persons) or `system` (cursor)."""
        with self.reads.connect() as connection:
            row = connection.execute(select(client_key).where(client_key.c.name == name)).first()
        return NamedKey(client_id=row.client_id, key=open_json(row.key)) if row else None

    def tenants(self) -> list[Tenant]:
        """All hospitals that are active, by name."""
        with self.reads.connect() as connection:
            active = select(tenant.c.content).where(tenant.c.active).order_by(tenant.c.name)
            rows = connection.execute(active).scalars()
            return [open_model(Tenant, content) for content in rows]

    def by_name(self, name: str) -> Tenant | None:
        """One hospital by its name; one that was deactivated is not found."""
        return self._one(select(tenant.c.content).where(tenant.c.name == name, tenant.c.active))

    def by_fhir_base(self, iss: str) -> Tenant | None:
        """The hospital whose FHIR base a launch names; None means that the launch is refused."""
        return self._one(select(tenant.c.content).where(tenant.c.fhir_base == base_url(iss), tenant.c.active))

    def _one(self, statement: Select[bytes]) -> Tenant | None:
        with self.reads.connect() as connection:
            content = connection.execute(statement).scalar()
        return open_model(Tenant, content) if content else None
