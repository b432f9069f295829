"""What a scan needs of this machine, and whether it is there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from stillwatch import keys

OLDEST_PYTHON = (3, 11)
CORE = (
    *("numpy", "pyarrow", "duckdb", "numba", "msgspec", "typer", "jinja2"),
    *("bc-detect-secrets", "phonenumberslite", "python-stdnum"),
)
EXTRAS = {
    "lab": ("torch", "resvg_py"),
    "server": ("sqlalchemy", "alembic"),
    "postgres": ("psycopg",),
    "share": ("stix2", "pymisp"),
}
"""Extra of the package -> what it brings; none of it is needed for a scan."""

LITTLE_DISK_BYTES, LITTLE_MEMORY_BYTES = 2 << 30, 2 << 30
GIBIBYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    says: str
    """What was found, in a few words."""
    remedy: str = ""
    """What to do about it; empty where all is well."""
    fatal: bool = False
    """No scan can run before it is mended."""


def examine() -> list[Finding]:
    """Look at everything, in the order in which a scan would miss it; nothing is changed but a file that is
    written into the temporary folder and removed."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python, _packages, _engine, _weights, _compiled, _key, _temporary, _memory, _extras, _terminal,
    )  # fmt: skip
    return [finding for look in looks for finding in look()]


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < OLDEST_PYTHON
    wanted = ".".join(map(str, OLDEST_PYTHON))
    yield Finding(
        "python", version, f"Install Python {wanted} or newer, and stillwatch with it." if old else "", old
    )


def _packages() -> Iterator[Finding]:
    found, missing = [], []
    for name in CORE:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", f"without {', '.join(missing)}", "Run: pip install stillwatch", fatal=True)
    else:
        yield Finding("packages", ", ".join(found))


def _engine() -> Iterator[Finding]:
    try:
        from stillwatch.engine.duckdb import DuckDBEngine

        engine = DuckDBEngine("256MB")
        try:
            engine.query("SELECT 1 AS one")
        finally:
            engine.close()
    except Exception as error:
        # Whatever keeps the engine from starting is what the reader came for.
        remedy = "Run: pip install --force-reinstall duckdb pyarrow"
        yield Finding("engine", f"does not start ({type(error).__name__})", remedy, fatal=True)
    else:
        yield Finding("engine", "duckdb answers")


def _weights() -> Iterator[Finding]:
    try:
        from stillwatch.evidence import load_weights
        from stillwatch.objective.model import load

        says = f"evidence {load_weights().version}, objective model {load().version}"
    except Exception as error:
        remedy = "Run: pip install --force-reinstall --no-deps stillwatch"
        yield Finding("weights", f"cannot be read ({type(error).__name__})", remedy, fatal=True)
    else:
        yield Finding("weights", says)


def _compiled() -> Iterator[Finding]:
    """Compiled loops are kept beside the package, in the folder that is named, or in the user's cache."""
    asked = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(asked)] if asked else [Path(__file__).parent, Path.home() / ".cache"]
    kept = next((place for place in places if _may_write(place)), None)
    if kept is None:
        remedy = "Set NUMBA_CACHE_DIR to a folder that may be written, or every run compiles anew."
        yield Finding("compiled loops", "cannot be kept", remedy)
    else:
        yield Finding("compiled loops", f"kept under {kept}")


def _key() -> Iterator[Finding]:
    try:
        path = keys.default_path()
    except keys.KeyFileError as error:
        yield Finding("key", str(error), "Name a file for it with --key.")
        return
    if not path.exists():
        says = f"none yet; the first scan makes {path}"
        makes = _may_write(path.parent)
        yield Finding("key", says, "" if makes else "Name a file that can be made with --key.")
        return
    others = path.stat().st_mode & 0o077
    remedy = f"Run: chmod 600 {path}" if others and os.name == "posix" else ""
    yield Finding("key", f"{path}{', which others may read' if remedy else ''}", remedy)


def _temporary() -> Iterator[Finding]:
    try:
        folder = Path(tempfile.gettempdir())
        with tempfile.TemporaryFile() as file:
            file.write(b"\0")
        free = shutil.disk_usage(folder).free
    except OSError:
        remedy = "Set TMPDIR to a folder with room that may be written."
        yield Finding("temporary folder", "cannot be written", remedy, fatal=True)
        return
    little = free < LITTLE_DISK_BYTES
    remedy = "Free room there, or set TMPDIR to a folder with room." if little else ""
    yield Finding("temporary folder", f"{folder}, {free / GIBIBYTE:.1f} GiB free", remedy)


def _memory() -> Iterator[Finding]:
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return
    remedy = "Scan shorter stretches of the log." if there < LITTLE_MEMORY_BYTES else ""
    yield Finding("memory", f"{there / GIBIBYTE:.1f} GiB, {os.cpu_count()} cores", remedy)


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        says = f"without {', '.join(missing)}: pip install 'stillwatch[{extra}]'" if missing else "installed"
        yield Finding(f"extra {extra}", says)


def _terminal() -> Iterator[Finding]:
    encoding = getattr(sys.stdout, "encoding", None) or "unknown"
    plain = encoding.lower().replace("-", "") != "utf8"
    yield Finding("terminal", encoding, "Set PYTHONUTF8=1 to see every sign." if plain else "")


def _may_write(folder: Path) -> bool:
    """Whether a folder, or the first of its parents that exists, may be written to."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)
