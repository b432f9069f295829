"""Call a model as many customers would, under OpenTelemetry's own instrumentation of the openai client and its own exporter.

    python integration_otel_traffic.py MODEL_URL --talkers 130

The exporter is told where to send by the environment (``OTEL_EXPORTER_OTLP_ENDPOINT`` and ``_HEADERS``), and so is the
instrumentation that it keeps the text. Each call is made for an account, which is ``user.id`` of its span. Prints a JSON
object of counts. Runs in the environment of scripts/record_otel_fixtures.
"""

from __future__ import annotations

import asyncio
import json
import random
from itertools import count

from openai import AsyncOpenAI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from integration_population import Request, campaign, ordinary
from integration_traffic import CONCURRENT, arguments, send
from record_otel_calls import Named, acting_for


async def run(url: str, seed: int, talkers: int) -> dict[str, int]:
    random_, numbers = random.Random(seed), count()
    requests = campaign(random_) + ordinary(random_, talkers)
    random_.shuffle(requests)
    gate = asyncio.Semaphore(CONCURRENT)

    async def one(request: Request) -> bool:
        with acting_for(request.key.removeprefix("sk-"), f"s-{next(numbers)}"):
            return await send(client, gate, request)

    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=120) as client:
        served = await asyncio.gather(*map(one, requests))
    accounts = {request.key for request in requests}
    return {"requests": len(requests), "served": sum(served), "accounts": len(accounts)}


def main() -> None:
    chosen = arguments(__doc__)
    tracing = TracerProvider()
    tracing.add_span_processor(Named())
    tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    OpenAIInstrumentor().instrument(tracer_provider=tracing)
    told = asyncio.run(run(chosen.url, chosen.seed, chosen.talkers))
    tracing.shutdown()  # sends what is left
    print(json.dumps(told))


if __name__ == "__main__":
    main()
