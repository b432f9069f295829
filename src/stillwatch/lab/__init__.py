"""The lab: what crosses an API, measured on models that are trained for it.

world -> teacher -> channel -> collector -> student -> evaluation, one file each. Everything that trains needs the
extra ``[lab]``; the rest of stillwatch imports none of it.
"""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = "torch"


class LabError(Exception):
    """An experiment that cannot be run as it was asked for; the text says why and what to do."""


class MissingExtraError(LabError):
    """A command of the lab without what the lab trains with; the text names the extra."""


def require_extra() -> None:
    """Refuse to go on where the extra is not installed.

    Raises:
        MissingExtraError: torch cannot be found.
    """
    if find_spec(NEEDED) is None:
        raise MissingExtraError(
            f"the lab trains models and {NEEDED} is not installed; it comes with the extra: "
            "pip install 'stillwatch[lab]'"
        )
