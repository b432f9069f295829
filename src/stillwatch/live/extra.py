"""What `stillwatch watch` needs beyond the core install."""

from __future__ import annotations

from importlib.util import find_spec

from stillwatch.store import StoreError, require_extra

NEEDED = ("starlette", "uvicorn", "httptools", "prometheus_client")


def require(*, kafka: bool = False) -> None:
    """Refuse to go on where an extra is not installed. Raises :class:`StoreError` that names it."""
    require_extra()
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise StoreError(
            f"the service needs {', '.join(missing)}, which the extra brings: pip install 'stillwatch[server]'"
        )
    if kafka and find_spec("confluent_kafka") is None:
        raise StoreError(
            "a topic takes confluent-kafka, which the extra brings: pip install 'stillwatch[kafka]'"
        )
