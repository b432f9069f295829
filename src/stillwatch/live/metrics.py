"""What the service counts, for Prometheus; no label holds an account, an address or a text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """Counters of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.decisions = Counter(
            "stillwatch_decisions",
            "Answers to gateways, by interface and outcome.",
            ("interface", "outcome"),
            registry=self.registry,
        )
        self.actions = Counter(
            "stillwatch_actions",
            "Actions that held for a request that was asked about.",
            ("action",),
            registry=self.registry,
        )
        self.unenforced = Counter(
            "stillwatch_actions_unenforced",
            "Actions that held and that the asker could not be told to do.",
            ("action",),
            registry=self.registry,
        )
        self.unmatched = Counter(
            "stillwatch_requests_unmatched",
            "Requests of which no fragments could be made; actions on a family let them go on.",
            registry=self.registry,
        )
        self.cut = Counter(
            "stillwatch_requests_cut",
            "Requests that were compared with families and of which plug-ins told the ends of texts and lists alone.",
            registry=self.registry,
        )
        self.missed = Counter(
            "stillwatch_gateway_missed",
            "Requests that plug-ins let go on, or refused, without an answer, as they tell afterwards.",
            registry=self.registry,
        )
        self.seconds = Histogram(
            "stillwatch_decision_seconds",
            "Time from the body of a question to its answer.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.refused = Counter(
            "stillwatch_requests_refused",
            "Requests to this service that were refused, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.held = Gauge("stillwatch_snapshot_actions", "Actions that hold or will.", registry=self.registry)
        self.blind = Gauge(
            "stillwatch_snapshot_families_unknown",
            "Families that actions name and of which no request can be told.",
            registry=self.registry,
        )
        self.read_at = Gauge(
            "stillwatch_store_read_timestamp_seconds",
            "When the store was last asked whether it changed.",
            registry=self.registry,
        )
        self.store_failures = Counter(
            "stillwatch_store_failures", "Times that the store could not be read.", registry=self.registry
        )
        self.exchanges = Counter(
            "stillwatch_exchanges",
            "Exchanges that are on disk, by the way that they came; a second delivery counts here again.",
            ("way",),
            registry=self.registry,
        )
        self.rejected = Counter(
            "stillwatch_records_rejected",
            "Records that could not be read; each is a line of rejected.jsonl.",
            ("way",),
            registry=self.registry,
        )
        self.skipped = Counter(
            "stillwatch_records_skipped",
            "Records that are no exchange of an account.",
            ("way",),
            registry=self.registry,
        )
        self.restarts = Counter(
            "stillwatch_looks_restarted",
            "Times that the process of the looks ended by itself and was started again.",
            registry=self.registry,
        )
        self.outcomes = Gauge(
            "stillwatch_looks_exchanges",
            "Exchanges on disk by what became of them, as of the last look; a start of the looks counts anew.",
            ("outcome",),
            registry=self.registry,
        )
        self.topic_errors = Counter(
            "stillwatch_topic_errors",
            "Errors of the topic or its brokers, by code.",
            ("code",),
            registry=self.registry,
        )
