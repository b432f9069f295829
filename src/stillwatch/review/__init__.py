"""``stillwatch serve``: the pages on which people decide; one router a page, on the store alone.

Needs the extra ``[server]``. A route says which role it takes (:mod:`.access`), or the application does not start.
"""

from __future__ import annotations

from importlib.util import find_spec

from stillwatch.store import StoreError

NEEDED = {
    "sqlalchemy": "sqlalchemy",
    "alembic": "alembic",
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "limits": "limits",
    "python_multipart": "python-multipart",
    "authlib": "authlib",
    "httpx": "httpx",
    "httpx2": "httpx2",
    "itsdangerous": "itsdangerous",
}


class ServeError(Exception):
    """A server that cannot be started as asked; the text says why, and what to do."""


def require_server() -> None:
    """Refuse to go on where the extra is not installed. Raises :class:`StoreError` that names it."""
    if missing := [name for module, name in NEEDED.items() if find_spec(module) is None]:
        raise StoreError(
            f"the pages need {', '.join(missing)}, which comes with the extra: pip install 'stillwatch[server]'"
        )
