"""How many principals of a case two scans have in common, counted once and not at every look."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and count what was loaded before."""
    op.create_table(
        "in_common",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("scan_id", sa.Integer(), nullable=False),
        sa.Column("other_id", sa.Integer(), nullable=False),
        sa.Column("principals", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.ForeignKeyConstraint(["scan_id"], ["scans.id"]),
        sa.ForeignKeyConstraint(["other_id"], ["scans.id"]),
        sa.PrimaryKeyConstraint("case_id", "scan_id", "other_id"),
    )
    op.execute(
        "INSERT INTO in_common (case_id, scan_id, other_id, principals) "
        "SELECT one.case_id, one.scan_id, other.scan_id, count(*) FROM participants one JOIN participants other "
        "ON other.case_id = one.case_id AND other.account_id = one.account_id "
        "AND other.end_user_id = one.end_user_id AND other.scan_id <= one.scan_id "
        "GROUP BY one.case_id, one.scan_id, other.scan_id"
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("in_common")
