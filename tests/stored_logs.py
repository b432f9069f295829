"""The store that the tests read from, and who may; without moto's server they are skipped.

``scripts/integration s3`` installs it and runs them; ``STILLWATCH_PROGRAMS`` names the folder where it is.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))

from program_environment import DEFAULT_CACHE, python_of
from s3_server import LOCK, Store, serving


@contextmanager
def running(folder: Path) -> Iterator[Store]:
    """Start the server and stop it; skips the test where it is not installed."""
    python = python_of(Path(os.environ.get("STILLWATCH_PROGRAMS", DEFAULT_CACHE)), LOCK)
    if python is None:
        pytest.skip("not installed: moto's server; scripts/integration s3 brings it and runs this")
    with serving(python, folder) as store:
        yield store


def fetches(store: Store, key: str) -> int:
    """How often an object, or a part of it, was asked for so far."""
    return len(re.findall(rf"GET /{re.escape(key)} HTTP", store.log.read_text()))


def ask(store: Store, path: str, body: str, service: str = "") -> str:
    """Ask something else of the server than what S3 knows."""
    request = urllib.request.Request(store.endpoint + path, body.encode(), method="POST")
    # What is no form is not read as a body.
    request.add_header("Content-Type", "application/x-www-form-urlencoded" if service else "text/plain")
    if service:
        scope = f"Credential=anybody/20260101/us-east-1/{service}/aws4_request"
        request.add_header("Authorization", f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=none")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def person(store: Store) -> tuple[str, str]:
    """A user who may do anything: key and secret."""
    version = "&Version=2010-05-08"
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    ask(store, "/", f"Action=CreateUser&UserName=reader{version}", "iam")
    ask(
        store,
        "/",
        f"Action=PutUserPolicy&UserName=reader&PolicyName=all&PolicyDocument={policy}{version}",
        "iam",
    )
    answer = ElementTree.fromstring(
        ask(store, "/", f"Action=CreateAccessKey&UserName=reader{version}", "iam")
    )
    told = {element.tag.rpartition("}")[2]: element.text or "" for element in answer.iter()}
    return told["AccessKeyId"], told["SecretAccessKey"]


@contextmanager
def asking_who(store: Store) -> Iterator[None]:
    """Let in only who has a key and may."""
    ask(store, "/moto-api/reset-auth", "0")
    try:
        yield
    finally:
        ask(store, "/moto-api/reset-auth", json.dumps(10**9))
