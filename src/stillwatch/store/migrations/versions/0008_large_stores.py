"""Indexes by which the pages of a store of a million accounts read what they show, and nothing besides."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SEARCHED = (("accounts", "account_id"), ("families", "family_id"))


def upgrade() -> None:
    """Make them."""
    op.create_index("campaigns_by_scan", "campaigns", ["scan_id", "case_id", "exchanges"], unique=False)
    op.create_index(
        "participants_by_share",
        "participants",
        ["scan_id", "case_id", sa.text("extraction_exchanges DESC"), "account_id", "end_user_id"],
        unique=False,
    )
    op.drop_index("ix_appeals_case_id", "appeals")
    op.create_index("appeals_by_case", "appeals", ["case_id", "state"], unique=False)
    if op.get_bind().dialect.name == "postgresql":  # where a search reads ids in the order of their bytes
        for table, column in _SEARCHED:
            op.create_index(f"{table}_sorted_by_id", table, [sa.text(f'{column} COLLATE "C"')], unique=False)


def downgrade() -> None:
    """Remove them; the pages become slow."""
    if op.get_bind().dialect.name == "postgresql":
        for table, _ in _SEARCHED:
            op.drop_index(f"{table}_sorted_by_id", table)
    op.drop_index("appeals_by_case", "appeals")
    op.create_index("ix_appeals_case_id", "appeals", ["case_id"], unique=False)
    op.drop_index("participants_by_share", "participants")
    op.drop_index("campaigns_by_scan", "campaigns")
