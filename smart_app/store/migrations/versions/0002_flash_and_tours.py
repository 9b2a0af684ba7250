"""A sentence for the next page of a launch; who has been shown round."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "flash",
        sa.Column("launch_id", sa.String(length=36), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("launch_id"),
    )
    op.create_table(
        "tour",
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("left_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("person", "role"),
    )


def downgrade() -> None:
    op.drop_table("tour")
    op.drop_table("flash")
