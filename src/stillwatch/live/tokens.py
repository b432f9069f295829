"""Tokens of the service: who may ask what. The file holds their hashes; a token is shown once, when it is made.

A token is 256 random bits, so a plain hash of it can neither be guessed nor searched for; one is compared in constant
time. The file is read again when it changes, so that a token is taken back without a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stillwatch.live import LiveError

VERSION = 1
PREFIX = "swt_"
"""Begin of every token, by which scanners for secrets find one that was published."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class TokenError(LiveError):
    """Tokens that cannot be read, made or taken back; the text says which and what to do, and holds no token."""


class May(StrEnum):
    """What a token is good for."""

    DECIDE = "decide"
    """Ask what to do with a request."""
    INGEST = "ingest"
    """Hand in exchanges."""
    METRICS = "metrics"
    """Read the metrics."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it is kept."""

    name: str
    """Who has it; in logs and metrics."""
    sha256: str
    may: frozenset[May]


class Tokens:
    """The tokens of a file, as it is now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: tuple[int, int] | None = None
        self._tokens: tuple[Token, ...] = ()
        self.refresh()

    def refresh(self) -> bool:
        """Read the file again where it changed; returns whether it did. Raises :class:`TokenError`."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise TokenError(
                f"cannot read the tokens {self._path}: {error.strerror}; make one with `stillwatch token add`"
            ) from error
        state = (found.st_mtime_ns, found.st_ino)
        if state == self._state:
            return False
        self._tokens = tuple(read(self._path).values())
        self._state = state
        return True

    def holder(self, given: str, may: May) -> str | None:
        """Name of who holds a token that is good for this; None where nobody does."""
        digest = _digest(given)
        found = None
        for token in self._tokens:  # all of them, so that the time tells nothing
            if hmac.compare_digest(token.sha256, digest) and may in token.may:
                found = token.name
        return found


def read(path: Path) -> dict[str, Token]:
    """Tokens of a file by name. Raises :class:`TokenError` where it is none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["version"] != VERSION:
            raise TokenError(
                f"{path} holds tokens of version {told['version']!r}, and {VERSION} is known; use the release that "
                "wrote it"
            )
        return {
            name: Token(name, str(one["sha256"]), frozenset(May(word) for word in one["may"]))
            for name, one in told["tokens"].items()
        }
    except OSError as error:
        raise TokenError(
            f"cannot read the tokens {path}: {error.strerror}; make one with `stillwatch token add`"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TokenError(
            f"{path} is no file of tokens; name another, or move it away and make one anew"
        ) from error


def add(path: Path, name: str, may: Sequence[May]) -> str:
    """Make a token and keep its hash; returns the token, which is nowhere else. Raises :class:`TokenError`."""
    if not _NAME.fullmatch(name):
        raise TokenError(
            "a name is 1 to 63 of a-z, 0-9, dot, dash and underscore, and begins with one of the first two"
        )
    if not may:
        raise TokenError(f"a token must be good for something: {', '.join(May)}")
    tokens = read(path) if path.exists() else {}
    if name in tokens:
        raise TokenError(f"{path} has a token {name}; take it back first, or choose another name")
    made = PREFIX + secrets.token_urlsafe(32)
    _write(path, {**tokens, name: Token(name, _digest(made), frozenset(may))})
    return made


def remove(path: Path, name: str) -> None:
    """Take a token back. Raises :class:`TokenError` where there is none of that name."""
    tokens = read(path)
    if name not in tokens:
        raise TokenError(f"{path} has no token {name}; it has {', '.join(sorted(tokens)) or 'none'}")
    del tokens[name]
    _write(path, tokens)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _write(path: Path, tokens: Mapping[str, Token]) -> None:
    told = {
        "version": VERSION,
        "tokens": {
            name: {"sha256": one.sha256, "may": sorted(one.may)} for name, one in sorted(tokens.items())
        },
    }
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(told, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise TokenError(f"cannot write the tokens {path}: {error.strerror}; name another file") from error
