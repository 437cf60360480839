"""What the router tells Prometheus: graphs, cold starts, and who waits."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counters of one process."""

    type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, waiting: Callable[[], int], held: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._graphs = Counter(
            "millpond_router_graph_requests", "Requests to graphs", ["graph", "status"], registry=registry
        )
        self._seconds = Histogram(
            "millpond_router_graph_seconds",
            "From request to answer",
            ["graph"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._cold = Counter(
            "millpond_router_cold_requests", "Requests for sleeping models", ["status"], registry=registry
        )
        self._cold_seconds = Histogram(
            "millpond_router_cold_seconds", "From request to answer", buckets=_BUCKETS, registry=registry
        )
        self._wakes = Gauge("millpond_router_wakes", "Calls that woke a model", registry=registry)
        now = Gauge("millpond_router_waiting_requests", "Requests that wait for a model", registry=registry)
        now.set_function(waiting)
        room = Gauge("millpond_router_waiting_bytes", "Bytes of their bodies", registry=registry)
        room.set_function(held)

    def graph(self, name: str, status: int, seconds: float) -> None:
        """Count an answer of a graph."""
        self._graphs.labels(name, str(status)).inc()
        self._seconds.labels(name).observe(seconds)

    def cold(self, status: int, seconds: float, wakes: int) -> None:
        """Count an answer to a request for a sleeping model."""
        self._cold.labels(str(status)).inc()
        self._cold_seconds.observe(seconds)
        self._wakes.set(wakes)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return bytes(generate_latest(self._registry))
