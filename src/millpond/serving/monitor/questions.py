"""The questions that the API knows: their parameters, the records that they are about, the answers.

A time is given as Unix seconds, as an ISO 8601 date, or as how long ago: ``15m``, ``2h``, ``7d``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import UTC, datetime
from time import time
from typing import Any

from millpond.model.errors import MillpondError
from millpond.serving.monitor import distance
from millpond.serving.monitor.collector import Collector
from millpond.serving.monitor.columns import Sample, features, kind_of, latest, outputs
from millpond.serving.monitor.compare import GRACE, TOLERANCE, compare, points
from millpond.serving.monitor.drift import drift, verdict
from millpond.serving.monitor.experiment import experiment
from millpond.serving.monitor.history import History
from millpond.serving.monitor.intake import Intake
from millpond.serving.monitor.quality import quality
from millpond.serving.monitor.record import Entry, Prediction
from millpond.serving.monitor.reference import References, unreadable
from millpond.serving.monitor.summary import summary
from millpond.serving.monitor.window import View

Query = dict[str, str]
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class BadQuestion(MillpondError):  # noqa: N818 - named for what it says
    """A parameter is missing or cannot be read."""


class Questions:
    """Answers from the window, and from the lake where a question reaches further back."""

    def __init__(
        self, collector: Collector, history: History, references: References, grace: float = GRACE
    ) -> None:
        self._collector = collector
        self._history = history
        self._references = references
        self._grace = grace

    def deployments(self) -> dict[str, Any]:
        """Which deployments have a log, and the revisions in their windows."""
        items = []
        for intake in self._collector.intakes():
            view = View(intake.window.entries())
            items.append(
                {
                    "name": intake.name,
                    "namespace": intake.settings.namespace,
                    "mode": intake.settings.mode,
                    "revisions": view.revisions(),
                    "predictions": len(view.predictions),
                    "feedback": len(view.feedback),
                }
            )
        return {"items": items}

    def overview(self, name: str, query: Query) -> dict[str, Any]:
        """Who does what in a deployment, what each revision did, and what the log lacks and why."""
        intake, view = self._view(name, query)
        settings, since, until = intake.settings, _since(query), _until(query)
        parts = {"primary": settings.primary, "canary": settings.canary, "shadow": settings.shadow}
        return {
            **_about(intake, view),
            "namespace": settings.namespace,
            "roles": {revision: role for role, revision in parts.items() if revision},
            "experiment": settings.experiment.name if settings.experiment else None,
            "mirror_percent": settings.mirror_percent,
            "revisions": {
                revision: summary(view.of(revision, since, until)) for revision in view.revisions()
            },
            "feedback": len(view.feedback),
            "gap_reasons": dict(Counter(gap.reason for gap in view.gaps)),
            "forgotten": intake.window.forgotten,
        }

    def window(self, name: str, query: Query) -> dict[str, Any]:
        """What a revision did since a time."""
        intake, view = self._view(name, query)
        found = view.of(query.get("revision"), _since(query), _until(query))
        return {**_about(intake, view), **summary(found)}

    def compare(self, name: str, query: Query) -> dict[str, Any]:
        """A primary and its shadow."""
        intake, view = self._view(name, query)
        names, primary, shadow = self._sides(intake, view, query)
        answer = compare(
            primary,
            shadow,
            tolerance=_number(query, "tolerance", TOLERANCE),
            grace=_number(query, "grace", self._grace),
            mirrored=intake.settings.mirror_percent,
        )
        return {**names, **_about(intake, view), **answer}

    def points(self, name: str, query: Query) -> dict[str, Any]:
        """What a plot of a primary and its shadow shows."""
        intake, view = self._view(name, query)
        names, primary, shadow = self._sides(intake, view, query)
        found = points(primary, shadow, _number(query, "tolerance", TOLERANCE))
        values = found["values"]
        sides = [Sample([pair[side] for pair in values], 0) for side in (0, 1)]
        return {**names, **found, "kind": kind_of(*sides)}

    def distance(self, name: str, query: Query) -> dict[str, Any]:
        """How far apart the outputs of two revisions are."""
        for parameter in ("a", "b"):
            if not query.get(parameter):
                raise BadQuestion(
                    f"{parameter} is missing", hint="name two revisions: ?a=REVISION&b=REVISION"
                )
        intake, view = self._view(name, query)
        since, until = _since(query), _until(query)
        first, second = (
            outputs(latest([entry for entry in view.of(query[side], since, until) if entry.answered]))
            for side in ("a", "b")
        )
        return {**_about(intake, view), **distance.of_outputs(first, second)}

    def experiment(self, name: str, query: Query) -> dict[str, Any]:
        """The outcomes of arms: those asked for, else the controller's, else all revisions."""
        intake, view = self._view(name, query)
        asked = intake.settings.experiment
        arms = query.get("arms", "").split(",") if query.get("arms") else list(asked.arms if asked else ())
        arms = arms or view.revisions()
        since = _since(query) or (asked.since if asked else None)
        chosen = view.of(None, since, _until(query))
        # What became of predictions of another time is no news, and not unattributed either.
        others = {entry.id for entry in view.predictions} - {entry.id for entry in chosen}
        told = [entry for entry in view.feedback if entry.id not in others]
        found = experiment(arms, chosen, told)
        title = asked.name if asked else None
        return {"name": title, "since": since, **_about(intake, view), **found}

    def drift(self, name: str, query: Query) -> dict[str, Any]:
        """What comes in and goes out now, beside the reference."""
        intake, view = self._view(name, query)
        revision = query.get("revision") or intake.settings.primary or _only(view)
        about = {"revision": revision, **_about(intake, view)}
        try:
            reference = self._references.find(intake.settings, view, revision)
        except MillpondError as error:
            return {**about, "reference": unreadable(error), "features": [], "outputs": [], "verdict": None}
        since = max(_since(query) or 0.0, math.nextafter(reference.until, math.inf))
        recent = latest([entry for entry in view.of(revision, since, _until(query)) if entry.answered])
        # Without a request since then no column is gone: nobody asked.
        columns_in = drift(reference.features, features(recent)) if recent else []
        columns_out = drift(reference.outputs, outputs(recent)) if recent else []
        return {
            **about,
            "reference": reference.about(),
            "requests": len(recent),
            "features": columns_in,
            "outputs": columns_out,
            "verdict": verdict([*columns_in, *columns_out]),
        }

    def quality(self, name: str, query: Query) -> dict[str, Any]:
        """How good each revision's predictions were, by the truths that came."""
        intake, view = self._view(name, query)
        chosen = view.of(query.get("revision"), _since(query), _until(query))
        return {**_about(intake, view), **quality(chosen, view.feedback)}

    def _sides(
        self, intake: Intake, view: View, query: Query
    ) -> tuple[dict[str, str], list[Prediction], list[Prediction]]:
        """The two revisions of a comparison: those asked for, else the settings', else what the log shows."""
        settings = intake.settings
        mirrored = {entry.revision for entry in view.predictions if entry.shadow}
        answering = {entry.revision for entry in view.predictions if not entry.shadow}
        shadow = query.get("shadow") or settings.shadow or (mirrored.pop() if len(mirrored) == 1 else None)
        primary = (
            query.get("primary") or settings.primary or (answering.pop() if len(answering) == 1 else None)
        )
        if not shadow or not primary:
            raise BadQuestion(
                f"{intake.name} has no {'primary' if shadow else 'shadow'} revision now",
                hint="name two: ?primary=REVISION&shadow=REVISION",
            )
        until = _until(query)
        since = _since(query) or settings.shadow_since
        shadowed = view.of(shadow, since, until, shadow=True)
        if since is None and shadowed:  # before its first record there was no mirror
            since = min(entry.time for entry in shadowed) - 1
        return (
            {"primary": primary, "shadow": shadow},
            view.of(primary, since, until, shadow=False),
            shadowed,
        )

    def _view(self, name: str, query: Query) -> tuple[Intake, View]:
        intake = self._collector.intake(name)
        recent = intake.window.entries()
        since, forgotten = _since(query), intake.window.forgotten
        if since is None or forgotten is None or since > forgotten:
            return intake, View(recent)
        here = {_key(entry) for entry in recent}
        older, complete = self._history.load(intake.settings.namespace, name, since, forgotten + 0.001)
        return intake, View([*(entry for entry in older if _key(entry) not in here), *recent], complete)


def _only(view: View) -> str | None:
    """The revision that answered, where there is but one."""
    found = {entry.revision for entry in view.predictions if not entry.shadow}
    return found.pop() if len(found) == 1 else None


def _key(entry: Entry) -> tuple[type, str, str, float]:
    """What tells entries apart; the lake keeps times to the microsecond."""
    return type(entry), getattr(entry, "id", ""), entry.revision, round(entry.time, 3)


def _about(intake: Intake, view: View) -> dict[str, Any]:
    """What a reader has to know of the log before he trusts a number."""
    gaps: list[Entry] = list(view.gaps)
    return {
        "deployment": intake.name,
        "log": {
            "mode": intake.settings.mode,
            "sample": intake.settings.sample,
            "lag_seconds": round(intake.lag(), 3),
            "complete": view.complete,
            "gaps": len(gaps),
            "dropped": sum(gap.count or 0 for gap in view.gaps),
        },
    }


def _since(query: Query) -> float | None:
    return _when(query, "since")


def _until(query: Query) -> float | None:
    return _when(query, "until")


def _when(query: Query, name: str) -> float | None:
    text = query.get(name)
    if not text:
        return None
    if found := _AGO.fullmatch(text):
        return time() - float(found[1]) * _SECONDS[found[2]]
    try:
        return float(text)
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuestion(
            f"{name}={text[:40]} is no time", hint="Unix seconds, 2026-11-24T10:00Z, or how long ago: 15m, 2h"
        ) from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _number(query: Query, name: str, default: float) -> float:
    text = query.get(name)
    if not text:
        return default
    try:
        return float(text)
    except ValueError:
        raise BadQuestion(f"{name}={text[:40]} is no number") from None
