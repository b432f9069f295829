"""The lab: what crosses an API, measured on models that are trained for it.

world -> teacher -> channel -> collector -> student -> evaluation, one file each. Everything that trains needs the
extra ``[lab]``; the rest of stillwatch imports none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

NEEDED = ("torch",)
LANGUAGE = ("transformers", "trl", "peft", "datasets", "accelerate")
"""What experiments on language models need beside torch."""


class LabError(Exception):
    """An experiment that cannot be run as it was asked for; the text says why and what to do."""


class MissingExtraError(LabError):
    """A command of the lab without what the lab trains with; the text names the extra."""


def require_extra(names: Sequence[str] = NEEDED) -> None:
    """Refuse to go on where the extra is not installed.

    Raises:
        MissingExtraError: one of the packages cannot be found.
    """
    for name in names:
        if find_spec(name) is None:
            raise MissingExtraError(
                f"the lab trains models and {name} is not installed; it comes with the extra: "
                "pip install 'stillwatch[lab]'"
            )
