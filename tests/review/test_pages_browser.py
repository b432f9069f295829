"""One case from the flag to the undo in a real browser; without Chromium or its driver it is skipped, and says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from stillwatch.arena import simulate
from stillwatch.arena.demo import demo_recipe
from stillwatch.keys import Keys
from stillwatch.response.policy import Policy
from stillwatch.scan import Options, scan
from stillwatch.sketching import Source
from stillwatch.store.database import open_store
from stillwatch.store.loading import load
from stillwatch.store.users import add_first
from tests.review.serving import NOW, served

JOURNEY = Path(__file__).resolve().parents[2] / "scripts" / "integration_review.py"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.mark.slow
def test_a_case_goes_from_the_flag_to_the_undo_in_a_browser(tmp_path: Path) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None or find_spec("playwright") is None:
        pytest.skip("Chromium or Playwright is not installed; scripts/integration review brings the latter")
    simulate(demo_recipe(1), tmp_path / "log")
    source = Source((tmp_path / "log" / "exchanges.parquet",))
    scan(source, tmp_path / "result", Keys(local=b"a key for the tests of review"), Options())
    store = open_store(str(tmp_path / "review.db"))
    load(store, tmp_path / "result", "root", Policy(), NOW)
    password = add_first(store, "admin", NOW)
    assert password is not None
    with served(store) as address:
        run = [sys.executable, JOURNEY, address, password, browser]
        done = subprocess.run(run, check=False, capture_output=True, text=True, timeout=900)
    store.close()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it is taken back" in done.stdout
