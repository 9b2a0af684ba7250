"""Alembic migrations of smart_app; run by `konsil.migrate`."""
