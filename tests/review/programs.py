"""The programs of others that the whole case runs with; without one of them it is skipped, and says which.

``scripts/integration review`` installs them and runs it. ``STILLWATCH_PROGRAMS`` names the folder where they are,
``STILLWATCH_PICTURES`` one where pictures are left.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "scripts"))

from gateway_checks import LITELLM  # noqa: E402
from program_browser import BROWSERS  # noqa: E402
from program_environment import DEFAULT_CACHE, python_of  # noqa: E402


@dataclass(frozen=True, slots=True)
class Programs:
    """Where they are."""

    browser: str
    """Chromium."""
    litellm: Path
    """The Python of an environment that has LiteLLM's proxy."""
    axe: str
    """The script of axe-core."""
    pictures: Path | None
    """Where pictures of the pages go, if anywhere."""


def found_programs() -> Programs:
    """All of them; skips the test where one is missing."""
    cache = Path(os.environ.get("STILLWATCH_PROGRAMS", DEFAULT_CACHE))
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    litellm, axe = python_of(cache, LITELLM), cache / "axe.min.js"
    there = {
        "Chromium": browser,
        "Playwright": find_spec("playwright"),
        "LiteLLM": litellm,
        "axe-core": axe.exists(),
    }
    if browser is None or litellm is None or not all(there.values()):
        missing = ", ".join(name for name, found in there.items() if not found)
        pytest.skip(
            f"not installed: {missing}; scripts/integration review brings all but Chromium and runs this"
        )
    told = os.environ.get("STILLWATCH_PICTURES")
    return Programs(browser, litellm, axe.read_text("utf-8"), Path(told) if told else None)
