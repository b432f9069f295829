"""Drive a LiteLLM proxy on loopback as many different customers would, with the openai client.

They are those of integration_population.py. Prints a JSON object of counts. Runs in the proxy's environment, which holds the
client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random

from openai import APIError, AsyncOpenAI

from integration_population import TALKERS, Request, campaign, ordinary, special

CONCURRENT = 8


async def send(client: AsyncOpenAI, gate: asyncio.Semaphore, request: Request) -> bool:
    async with gate:
        try:
            await client.with_options(api_key=request.key).chat.completions.create(
                model=request.model,
                messages=request.messages,
                extra_headers={"X-Forwarded-For": request.address},
                **request.options,
            )
        except APIError:
            return False
    return True


async def run(url: str, seed: int, talkers: int) -> dict[str, int]:
    random_ = random.Random(seed)
    requests = campaign(random_) + ordinary(random_, talkers)
    random_.shuffle(requests)
    requests += special()
    gate = asyncio.Semaphore(CONCURRENT)
    async with AsyncOpenAI(base_url=url, api_key="sk-unused", max_retries=0, timeout=60) as client:
        served = await asyncio.gather(*(send(client, gate, request) for request in requests))
    accounts = {request.key for request in requests}
    return {"requests": len(requests), "served": sum(served), "accounts": len(accounts)}


def arguments(description: str | None) -> argparse.Namespace:
    """Where to send, and what."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("url")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--talkers", type=int, default=TALKERS, help="people in conversations")
    return parser.parse_args()


def main() -> None:
    chosen = arguments(__doc__)
    print(json.dumps(asyncio.run(run(chosen.url, chosen.seed, chosen.talkers))))


if __name__ == "__main__":
    main()
