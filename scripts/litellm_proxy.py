"""LiteLLM's own proxy on loopback, with accounts and a model that answers by itself."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from running_program import free_port, running

# A model that answers by itself, and one that is always over its limit: failures come in the same log.
CONFIG = """
model_list:
  - model_name: frontier-large
    litellm_params: {model: openai/gpt-4o, api_key: unused, mock_response: "Here is a careful answer."}
  - model_name: frontier-small
    litellm_params: {model: openai/gpt-4o-mini, api_key: unused, mock_response: "Here is a short answer."}
  - model_name: frontier-busy
    litellm_params: {model: openai/gpt-4o, api_key: unused, mock_response: "litellm.RateLimitError"}
general_settings:
  custom_auth: accounts.authenticate
  use_x_forwarded_for: true
litellm_settings:
  callbacks: ["generic_api", "stillwatch_log.log"]
  num_retries: 0
"""

# A key is `sk-<account>`; the proxy hashes it, as it does with the keys of its database.
ACCOUNTS = """
from fastapi import HTTPException, Request
from litellm.proxy._types import UserAPIKeyAuth


async def authenticate(request: Request, api_key: str) -> UserAPIKeyAuth:
    if not api_key.startswith("sk-"):
        raise HTTPException(status_code=401, detail="a key starts with sk-")
    account = api_key.removeprefix("sk-")
    return UserAPIKeyAuth(
        api_key=api_key, user_id=account, team_id="team-" + account.split("-")[0], org_id="org-" + account
    )
"""


def printed(program: str) -> str:
    """Return what ``stillwatch connect`` prints for a program."""
    command = [sys.executable, "-c", "from stillwatch.cli import main; main()", "connect", program]
    return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout


def pasted() -> str:
    """Return the callback that ``stillwatch connect litellm`` prints."""
    lines = printed("litellm").split("stillwatch_log.py:\n", 1)[1].split("In config.yaml:", 1)[0]
    return textwrap.dedent(lines).strip() + "\n"


def pasted_block(program: str, begin: str) -> str:
    """Return the block to paste that begins with these words."""
    blocks = re.findall(r"(?:^(?: {4}.*|)\n)+", printed(program), re.MULTILINE)
    return next(text for block in blocks if (text := textwrap.dedent(block).strip()).startswith(begin)) + "\n"


@contextmanager
def proxy(
    python: Path,
    directory: Path,
    endpoint: str,
    config: str = CONFIG,
    more: Mapping[str, str] | None = None,
    accounts: str = ACCOUNTS,
) -> Iterator[str]:
    """Run LiteLLM's proxy on loopback, yield its address, stop it."""
    (directory / "config.yaml").write_text(config)
    (directory / "accounts.py").write_text(accounts)
    (directory / "stillwatch_log.py").write_text(pasted())
    port = free_port()
    settings = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": "sk-master-of-one-run",
        "GENERIC_LOGGER_ENDPOINT": endpoint,
        # The callback empties its queue after a batch was sent, with whatever came in meanwhile (seen in
        # 1.106.2: one record in twelve was lost at one batch a second); one late batch loses nothing.
        "DEFAULT_FLUSH_INTERVAL_SECONDS": "90",
        "DEFAULT_BATCH_SIZE": "100000",
        "PYTHONPATH": str(directory),
        **(more or {}),
    }
    command: list[str | Path] = [
        python.parent / "litellm", "--config", directory / "config.yaml", "--host", "127.0.0.1",
        "--port", str(port), "--telemetry", "False",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with running(command, directory, f"{url}/health/liveliness", settings):
        yield url
