"""One database under review: cases, decisions, whom they hit, and the audit log.

SQLite in a file by default, PostgreSQL by a URL; needs the extra ``[server]``. Everything that changes something
writes its entry of the audit log in the same transaction.
"""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = ("sqlalchemy", "alembic")


class StoreError(Exception):
    """A database, a case or a result that cannot be used; the text says which, why, and what to do."""


class ConflictError(StoreError):
    """Somebody else was quicker; nothing was changed."""


def require_extra() -> None:
    """Refuse to go on where the extra is not installed. Raises :class:`StoreError` that names it."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise StoreError(
            f"review keeps a database and {' and '.join(missing)} is not installed; it comes with the extra: "
            "pip install 'stillwatch[server]'"
        )
