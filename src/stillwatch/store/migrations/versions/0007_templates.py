"""The templates of families, by which a gateway tells that a request belongs to one."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "templates",
        sa.Column("scan_id", sa.Integer(), nullable=False),
        sa.Column("family_id", sa.Text(), nullable=False),
        sa.Column("template", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["scan_id"], ["scans.id"]),
        sa.PrimaryKeyConstraint("scan_id", "family_id"),
    )
    op.create_index("templates_by_family", "templates", ["family_id", "scan_id"], unique=False)


def downgrade() -> None:
    """Remove it; decisions on families then hit nothing."""
    op.drop_table("templates")
