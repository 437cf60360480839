"""What the process counts, for Prometheus: requests by code, latency, requests in flight, load time."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

# Seconds: a small model answers in under a millisecond, a large one in seconds.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The counters of one model's process; the children of a label set are looked up once."""

    media_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, model: str, version: str) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        names = ["model", "version"]
        self._labels = (model, version)
        self._requests = Counter(
            "millpond_serving_requests",
            "Requests to predict, by protocol and status code",
            [*names, "protocol", "code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "millpond_serving_request_seconds",
            "Time from a request's head to its answer, reading the body and waiting included",
            [*names, "protocol"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "millpond_serving_requests_in_flight",
            "Requests to predict that have no answer yet",
            names,
            registry=self.registry,
        ).labels(*self._labels)
        self.load_seconds = Gauge(
            "millpond_serving_model_load_seconds",
            "Time it took to load the model and to warm it up",
            names,
            registry=self.registry,
        ).labels(*self._labels)
        self.ready = Gauge(
            "millpond_serving_model_ready", "1 when the model answers", names, registry=self.registry
        ).labels(*self._labels)
        self._counted: dict[tuple[str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}

    def answered(self, protocol: str, code: int, seconds: float) -> None:
        """Count one answer."""
        counter = self._counted.get((protocol, code))
        if counter is None:
            counter = self._requests.labels(*self._labels, protocol, str(code))
            self._counted[protocol, code] = counter
        counter.inc()
        timer = self._timed.get(protocol)
        if timer is None:
            timer = self._timed[protocol] = self._seconds.labels(*self._labels, protocol)
        timer.observe(seconds)

    def page(self) -> bytes:
        """All of them in Prometheus' text format."""
        return bytes(generate_latest(self.registry))
