"""Identity providers of hospitals, who is on the way there, and what a sign-out there ends here."""

from alembic import op

from fhir_server.store.models import metadata

revision = "0017_identity_provider"
down_revision = "0016_joining"
TABLES = ("auth_identity_provider", "auth_federation", "auth_federated_sign_in")


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[metadata.tables[name] for name in TABLES])
