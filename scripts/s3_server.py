"""Moto's server on loopback, which answers as S3 does, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow import fs

LOCK = Path(__file__).resolve().parent / "integration_s3.lock"
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Store:
    """A store that runs."""

    endpoint: str
    log: Path
    """What the server was asked, a line a request."""

    def environment(self, identity: str = "anybody", secret: str = "anything") -> dict[str, str]:
        """What a program needs to be told of it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": identity,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def files(self) -> fs.S3FileSystem:
        """The store as a file system; whoever only starts it needs no library."""
        from pyarrow import fs

        return fs.S3FileSystem(
            endpoint_override=self.endpoint, region="us-east-1", access_key="anybody", secret_key="anything",
            allow_bucket_creation=True,
        )  # fmt: skip

    def copy(self, folder: Path, bucket: str) -> None:
        """Put every file of a folder into a bucket, which is made if need be."""
        files = self.files()
        files.create_dir(bucket)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                key = f"{bucket}/{path.relative_to(folder).as_posix()}"
                with files.open_output_stream(key, compression=None) as out:  # as it is, whatever its name
                    out.write(path.read_bytes())


@contextmanager
def serving(python: Path, folder: Path) -> Iterator[Store]:
    """Start the server with the Python of its environment, and stop it; what it is asked is told in ``folder``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "server.log"
    with log.open("wb") as told:
        server = subprocess.Popen(
            [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=told, stderr=told
        )
    try:
        _await(server, port, log)
        yield Store(f"http://127.0.0.1:{port}", log)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _await(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text()}")
