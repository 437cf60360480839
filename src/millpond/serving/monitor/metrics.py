"""The monitor's own page for Prometheus: what it took in, and what its analyses say.

Counts are exact and since the monitor's start. Drift, quality and a shadow's agreement are of the window,
and computed at most once a minute for a deployment: a page may be asked for every few seconds.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from millpond.model.errors import MillpondError
from millpond.serving.monitor.collector import Collector
from millpond.serving.monitor.intake import BUCKETS, Intake
from millpond.serving.monitor.questions import Questions

log = logging.getLogger(__name__)

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = 60.0
_PREFIX = "millpond_monitor_"
_SCORES = ("accuracy", "f1", "auc", "r2", "mae", "rmse")
# A deployment's analyses: the metric's name, its labels' values, its value.
_Point = tuple[str, tuple[str, ...], float]
_ANALYSES = {
    "shadow_agreement_ratio": ("Share of the answers in which shadow and primary agree", ("revision",)),
    "shadow_pairs": ("Requests that both primary and shadow answered", ("revision",)),
    "drift_psi": ("Population stability index beside the reference", ("revision", "side", "column")),
    "quality": ("Quality by the truths that came", ("revision", "output", "measure")),
    "quality_rows": ("Rows whose truth came", ("revision", "output")),
}


class Metrics:
    """The page of all deployments."""

    def __init__(self, collector: Collector, questions: Questions) -> None:
        disable_created_metrics()
        self._collector = collector
        self._questions = questions
        self._analysed: dict[str, tuple[float, list[_Point]]] = {}
        self._lock = threading.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def page(self) -> bytes:
        """All of them in Prometheus' text format."""
        with self._lock:  # two who ask at once do not compute the same twice
            return bytes(generate_latest(self._registry))

    def describe(self) -> list[Metric]:
        """Nothing: what there is depends on the deployments, and registering must not compute it."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What there is, in the client library's words."""
        intakes = self._collector.intakes()
        yield from _predictions(intakes)
        yield from self._log(intakes)
        families = {
            name: GaugeMetricFamily(_PREFIX + name, text, labels=["deployment", *labels])
            for name, (text, labels) in _ANALYSES.items()
        }
        for intake in intakes:
            for name, labels, value in self._points(intake):
                families[name].add_metric([intake.name, *labels], value)
        yield from families.values()

    def _log(self, intakes: list[Intake]) -> Iterator[Metric]:
        feedback = CounterMetricFamily(
            _PREFIX + "feedback", "Outcomes that were reported", labels=["deployment"]
        )
        gaps = CounterMetricFamily(
            _PREFIX + "log_gaps", "Places where the log is not whole", labels=["deployment", "reason"]
        )
        dropped = CounterMetricFamily(
            _PREFIX + "log_dropped", "Events that are known to be lost", labels=["deployment"]
        )
        undelivered = CounterMetricFamily(
            _PREFIX + "events_undelivered",
            "Events that the logger's address did not take",
            labels=["deployment"],
        )
        lag = GaugeMetricFamily(
            _PREFIX + "lag_seconds",
            "How long the oldest segment that is not taken in has waited",
            labels=["deployment"],
        )
        backlog = GaugeMetricFamily(
            _PREFIX + "backlog_bytes", "Bytes that wait on this disk for the lake", labels=["deployment"]
        )
        for intake in intakes:
            name = [intake.name]
            feedback.add_metric(name, intake.counts.feedback)
            for reason, count in list(intake.counts.gaps.items()):
                gaps.add_metric([*name, reason], count)
            dropped.add_metric(name, intake.counts.dropped)
            undelivered.add_metric(name, self._collector.undelivered(intake.name))
            try:
                lag.add_metric(name, intake.lag())
                backlog.add_metric(name, intake.outbox.size())
            except OSError:
                continue  # a segment was taken in, or the deployment removed, in this moment
        yield from (feedback, gaps, dropped, undelivered, lag, backlog)

    def _points(self, intake: Intake) -> list[_Point]:
        when, points = self._analysed.get(intake.name, (0.0, []))
        if not when or monotonic() - when >= _SECONDS:
            points = self._analyse(intake)
            self._analysed[intake.name] = monotonic(), points
        return points

    def _analyse(self, intake: Intake) -> list[_Point]:
        try:
            return [
                *self._shadow(intake),
                *_drift(self._questions.drift(intake.name, {})),
                *_quality(self._questions.quality(intake.name, {})),
            ]
        except MillpondError as error:  # the deployment is gone, or the lake is away
            log.warning("no analysis of %s for the metrics: %s", intake.name, error.message)
            return []

    def _shadow(self, intake: Intake) -> Iterator[_Point]:
        if not intake.settings.shadow or not intake.settings.primary:
            return
        found = self._questions.compare(intake.name, {})
        yield "shadow_pairs", (found["shadow"],), found["pairs"]
        if found["agreement"] is not None:
            yield "shadow_agreement_ratio", (found["shadow"],), found["agreement"]


def _predictions(intakes: list[Intake]) -> Iterator[Metric]:
    labels = ["deployment", "revision", "shadow"]
    predictions = CounterMetricFamily(
        _PREFIX + "predictions",
        "Predictions in the log, by the class of their status",
        labels=[*labels, "status"],
    )
    seconds = HistogramMetricFamily(
        _PREFIX + "prediction_seconds", "Latency of the predictions that were answered", labels=labels
    )
    bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
    for intake in intakes:
        classes: Counter[tuple[str, str, str]] = Counter()
        for (revision, status, shadow), count in list(intake.counts.predictions.items()):
            classes[revision, _word(shadow), f"{status[0]}xx"] += count
        for key, count in classes.items():
            predictions.add_metric([intake.name, *key], count)
        for (revision, shadow), times in list(intake.counts.times.items()):
            buckets = list(zip(bounds, accumulate(times[:-1]), strict=True))
            seconds.add_metric([intake.name, revision, _word(shadow)], buckets, times[-1])
    yield predictions
    yield seconds


def _word(value: bool) -> str:
    return "true" if value else "false"


def _drift(found: dict[str, Any]) -> Iterator[_Point]:
    for side, word in (("features", "feature"), ("outputs", "output")):
        for column in found[side]:
            if column["psi"] is not None:
                yield "drift_psi", (found["revision"] or "", word, column["name"]), column["psi"]


def _quality(found: dict[str, Any]) -> Iterator[_Point]:
    for revision, outputs in found["revisions"].items():
        for output, measured in outputs.items():
            yield "quality_rows", (revision, output), measured["rows"]
            for name in _SCORES:
                if measured.get(name) is not None:
                    yield "quality", (revision, output, name), measured[name]
