"""Secret keys: fragments and traits are hashed with a key, so a sketch says nothing to who lacks it.

The local key never leaves the house. A circle key is shared with peers who compare templates and nothing
else.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path

SMALLEST_KEY = 16  # bytes: 128 bits, the key length of SipHash
MARK_BYTES = 16
"""Length of a mark: 128 bits of HMAC-SHA-256."""


class KeyFileError(Exception):
    """A key file that cannot be read, written or trusted; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets under which a log is sketched.

    ``local``: bytes that only this installation holds. ``circle``: bytes shared with peers, or None.
    """

    local: bytes = field(repr=False)
    circle: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse a secret that is too short to be one."""
        for name, secret in (("local", self.local), ("circle", self.circle)):
            if secret is not None and len(secret) < SMALLEST_KEY:
                raise KeyFileError(
                    f"the {name} key holds {len(secret)} bytes; at least {SMALLEST_KEY} are needed: "
                    "remove the file to have a new key made, or write 32 random bytes into it"
                )

    @property
    def name(self) -> str:
        """Public name of the local key, 16 hexadecimal digits: sketches and states carry it."""
        return hashlib.blake2b(self.local, digest_size=8, person=b"sw key name").hexdigest()

    def pair(self, purpose: str) -> tuple[int, int]:
        """Two 64-bit subkeys of the local key for one purpose, so that no hash is comparable across
        purposes."""
        return _pair(self.local, purpose)

    @property
    def circle_name(self) -> str | None:
        """Public name of the circle key, by which peers see that they hold the same; None without one."""
        if self.circle is None:
            return None
        return hashlib.blake2b(self.circle, digest_size=8, person=b"sw circle name").hexdigest()

    def circle_pair(self, purpose: str) -> tuple[int, int]:
        """Like :meth:`pair`, of the circle key: all who hold it derive the same."""
        return _pair(self._held_circle(), f"circle {purpose}")

    def mark(self, kind: str, text: str) -> bytes:
        """What stands for an account or an address among peers: HMAC-SHA-256 under the circle key, 16 bytes.

        The same name gives the same mark to all who hold the key; who does not hold it cannot try names.
        """
        told = f"{kind}\0{text}".encode()
        return hmac.digest(self._held_circle(), told, "sha256")[:MARK_BYTES]

    def _held_circle(self) -> bytes:
        if self.circle is None:
            raise KeyFileError("this takes the key of the circle; name its file with --circle-key")
        return self.circle


def _pair(secret: bytes, purpose: str) -> tuple[int, int]:
    digest = hashlib.blake2b(secret, digest_size=16, person=purpose.encode()[:16]).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def default_path() -> Path:
    """Where the local key lies unless ``--key`` names another file: ``$XDG_CONFIG_HOME/stillwatch/key``."""
    try:
        base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    except RuntimeError as error:
        raise KeyFileError("no home folder to keep the key in; name a file for it with --key") from error
    return Path(base) / "stillwatch" / "key"


def load(path: Path | None = None) -> Keys:
    """The keys in ``path`` (any bytes, 16 or more); a file that does not exist is made with mode 0600.

    Raises :class:`KeyFileError` where the file cannot be read or made, or is too short.
    """
    path = path or default_path()
    try:
        return _read(path)
    except FileNotFoundError:
        return _create(path)


def with_circle(keys: Keys, path: Path | None) -> Keys:
    """The keys with the circle key in ``path``, if one is named.

    It is never made here: a mistyped name would give a key that no peer holds, and nothing would ever be found.
    Raises :class:`KeyFileError` where the file cannot be read, is too short, or holds the local key.
    """
    if path is None:
        return keys
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise KeyFileError(
            f"cannot read the circle key {path}: {error.strerror}; a circle's first member makes one with "
            "`head -c 32 /dev/urandom`, and the others get it over a channel that they trust"
        ) from error
    if secret == keys.local:
        raise KeyFileError(
            f"{path} is the local key, which never leaves the house; make another one for the circle"
        )
    try:
        return replace(keys, circle=secret)
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}") from None


def _read(path: Path) -> Keys:
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyFileError(
            f"cannot read the key file {path}: {error.strerror}; name another with --key"
        ) from error
    try:
        return Keys(local=secret)
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}") from None


def _create(path: Path) -> Keys:
    secret = secrets.token_hex(32).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # O_EXCL: two first runs at once must not end up with two keys.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise _cannot_make(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(secret)
            handle.flush()
            os.fsync(descriptor)
    except OSError as error:
        # Half a key would be taken for a whole one, or refused, by every later run.
        path.unlink(missing_ok=True)
        raise _cannot_make(path, error) from error
    return Keys(local=secret)


def _cannot_make(path: Path, error: OSError) -> KeyFileError:
    return KeyFileError(f"cannot make the key file {path}: {error.strerror}; name another with --key")
