"""Chromium, which is looked for on PATH, and axe-core, which is fetched once and checked against its hash."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

AXE = "axe-core@4.14.1"
AXE_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass(frozen=True, slots=True)
class Missing:
    """Programs that a check in a browser needs and that are not there."""

    what: str


def browser_or_reason() -> str | Missing:
    """The path of Chromium; or what is missing, of it and npm."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    missing = [name for name, there in (("Chromium", browser), ("npm", shutil.which("npm"))) if not there]
    return Missing(" and ".join(missing)) if missing or browser is None else browser


def axe_of(cache: Path) -> Path:
    """Return the script of axe-core, fetched once and checked against its hash."""
    script = cache / "axe.min.js"
    if not script.exists():
        pack = ["npm", "pack", AXE, "--silent", "--pack-destination", str(cache)]
        subprocess.run(pack, check=True, timeout=300, stdout=subprocess.DEVNULL)
        package = cache / (AXE.replace("@", "-") + ".tgz")
        found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
        if found != AXE_SHA512:
            package.unlink()
            raise SystemExit(f"{AXE} is not what it was: its hash is another")
        with tarfile.open(package) as files:
            member = files.extractfile("package/axe.min.js")
            if member is None:
                raise SystemExit(f"{AXE} holds no axe.min.js")
            script.write_bytes(member.read())
    return script
