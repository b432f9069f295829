"""What peers are told and what is taken from them: one file a format, and TAXII to send it.

Everything that leaves the house is minimised and keyed: accounts and addresses as HMAC under the circle's key, templates
as keyed sketches. Needs the extra ``[share]`` for STIX and MISP.
"""

from __future__ import annotations

from importlib.util import find_spec


class ShareError(Exception):
    """A result, a bundle or a server that cannot be used; the text says which, why, and what to do."""


def require_extra(*names: str) -> None:
    """Refuse to go on where a library of the extra is not installed. Raises :class:`ShareError` that names it."""
    if missing := [name for name in names if find_spec(name) is None]:
        raise ShareError(
            f"this format takes {' and '.join(missing)}, which is not installed; it comes with the extra: "
            "pip install 'stillwatch[share]'"
        )
