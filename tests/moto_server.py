"""Moto's server on loopback, which answers as S3 does, in a process of its own.

``scripts/integration s3`` installs it and runs the tests that need it; ``STILLWATCH_PROGRAMS`` names the folder where it is.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pyarrow import fs

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "scripts"))

from program_environment import DEFAULT_CACHE, python_of  # noqa: E402

LOCK = ROOT / "scripts" / "integration_s3.lock"
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

    def fetches(self, key: str) -> int:
        """How often an object, or a part of it, was asked for so far."""
        return len(re.findall(rf"GET /{re.escape(key)} HTTP", self.log.read_text()))

    def ask(self, path: str, body: str, service: str = "") -> str:
        """Ask something else of the server than what S3 knows."""
        request = urllib.request.Request(self.endpoint + path, body.encode(), method="POST")
        # What is no form is not read as a body.
        request.add_header("Content-Type", "application/x-www-form-urlencoded" if service else "text/plain")
        if service:
            scope = f"Credential=anybody/20260101/us-east-1/{service}/aws4_request"
            request.add_header(
                "Authorization", f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=none"
            )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    def person(self) -> tuple[str, str]:
        """A user who may do anything: key and secret."""
        version = "&Version=2010-05-08"
        policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
        self.ask("/", f"Action=CreateUser&UserName=reader{version}", "iam")
        self.ask(
            "/",
            f"Action=PutUserPolicy&UserName=reader&PolicyName=all&PolicyDocument={policy}{version}",
            "iam",
        )
        answer = ElementTree.fromstring(
            self.ask("/", f"Action=CreateAccessKey&UserName=reader{version}", "iam")
        )
        told = {element.tag.rpartition("}")[2]: element.text or "" for element in answer.iter()}
        return told["AccessKeyId"], told["SecretAccessKey"]

    @contextmanager
    def asking_who(self) -> Iterator[None]:
        """Let in only who has a key and may."""
        self.ask("/moto-api/reset-auth", "0")
        try:
            yield
        finally:
            self.ask("/moto-api/reset-auth", json.dumps(10**9))


@contextmanager
def running(folder: Path) -> Iterator[Store]:
    """Start the server and stop it; skips the test where it is not installed."""
    python = python_of(Path(os.environ.get("STILLWATCH_PROGRAMS", DEFAULT_CACHE)), LOCK)
    if python is None:
        pytest.skip("not installed: moto's server; scripts/integration s3 brings it and runs this")
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
