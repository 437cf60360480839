"""What the process counts, for Prometheus: requests by code, latency, requests in flight, load time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

# Seconds: a small model answers in under a millisecond, a large one in seconds.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The counters of one model's process.

    What is counted at every answer is plain numbers, put into the client library's words when it is asked.
    """

    media_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, model: str, version: str) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        names = ["model", "version"]
        self._labels = (model, version)
        self._counts: dict[tuple[str, int], int] = {}
        self._times: dict[str, list[float]] = {}
        self.in_flight = 0
        self.registry.register(self)
        self.load_seconds = Gauge(
            "millpond_serving_model_load_seconds",
            "Time it took to load the model and to warm it up",
            names,
            registry=self.registry,
        ).labels(*self._labels)
        self.ready = Gauge(
            "millpond_serving_model_ready", "1 when the model answers", names, registry=self.registry
        ).labels(*self._labels)

    def answered(self, protocol: str, code: int, seconds: float) -> None:
        """Count one answer; on the event loop alone, and so without a lock."""
        key = (protocol, code)
        self._counts[key] = self._counts.get(key, 0) + 1
        times = self._times.get(protocol)
        if times is None:
            times = self._times[protocol] = [0.0] * (len(_BUCKETS) + 2)
        times[bisect_left(_BUCKETS, seconds)] += 1
        times[-1] += seconds

    def collect(self) -> Iterator[Metric]:
        """What was counted, in the client library's words."""
        names = ["model", "version"]
        requests = CounterMetricFamily(
            "millpond_serving_requests",
            "Requests to predict, by protocol and status code",
            labels=[*names, "protocol", "code"],
        )
        for (protocol, code), count in list(self._counts.items()):
            requests.add_metric([*self._labels, protocol, str(code)], count)
        yield requests
        seconds = HistogramMetricFamily(
            "millpond_serving_request_seconds",
            "Time from a request's head to its answer, reading the body and waiting included",
            labels=[*names, "protocol"],
        )
        for protocol, times in list(self._times.items()):
            sums = list(accumulate(times[:-1]))
            bounds = [*(str(bound) for bound in _BUCKETS), "+Inf"]
            buckets = list(zip(bounds, sums, strict=True))
            seconds.add_metric([*self._labels, protocol], buckets, times[-1])
        yield seconds
        flying = GaugeMetricFamily(
            "millpond_serving_requests_in_flight", "Requests to predict that have no answer yet", labels=names
        )
        flying.add_metric(list(self._labels), self.in_flight)
        yield flying

    def page(self) -> bytes:
        """All of them in Prometheus' text format."""
        return bytes(generate_latest(self.registry))
