"""What a deployment's annotations ask for, beyond what KServe's CRD has fields for.

Annotations are KServe's own place for such things: the document stays valid on any cluster, where they
have an effect if Millpond reads them there and none otherwise. All begin with ``serving.millpond.dev/``, but
for Knative's own window of scaling, which means the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from millpond.model.errors import did_you_mean

PREFIX = "serving.millpond.dev/"
WINDOW = "autoscaling.knative.dev/window"
TOLD = ("model-version", "run-id", "managed-by")
"""Annotations that are told, not asked for: what the controller answers with is accepted back."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}\Z")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")


@dataclass(frozen=True)
class Rollout:
    """How the newest revision gets its traffic by itself.

    Args:
        steps: percentages of the traffic, growing; the last is 100.
        interval: seconds at each step before it is judged.
        requests: answers that the newest revision must have given within a step before it is judged.
        errors: the most that its share of failed answers may be above the other's, 0 to 1.
        latency: the most that its p99 may be, as a multiple of the other's.
        distance: the most that its outputs may be away from the other's, 0 to 1 (Kolmogorov-Smirnov for
            numbers, total variation for classes); 1 asks nothing.
        failures: judgements in a row that may be bad before the traffic goes back.
    """

    steps: tuple[int, ...] = (5, 25, 50, 100)
    interval: float = 60.0
    requests: int = 100
    errors: float = 0.01
    latency: float = 1.5
    distance: float = 0.2
    failures: int = 3

    @classmethod
    def of(cls, text: str) -> Rollout:
        """The rollout that an annotation's JSON asks for; ``{}`` means all defaults.

        Raises:
            ValueError: with what is wrong in it.
        """
        try:
            given = json.loads(text)
        except ValueError as error:
            raise ValueError(f"rollout is not JSON: {error}") from None
        if not isinstance(given, dict):
            raise ValueError('rollout is not an object, such as {"steps": [5, 100]}')  # noqa: TRY004
        known = [entry.name for entry in fields(cls)]
        for key in given:
            if key not in known:
                hint = did_you_mean(key, known)
                raise ValueError(f"rollout has no {key}" + (f"; {hint}" if hint else ""))
        if "interval" in given:
            given["interval"] = seconds("rollout interval", given["interval"])
        if "steps" in given:
            given["steps"] = _steps(given["steps"])
        for key in ("requests", "failures"):
            if key in given and (type(given[key]) is not int or given[key] < 1):
                raise ValueError(f"rollout {key} is not a whole number above 0")
        for key, most in (("errors", 1.0), ("distance", 1.0), ("latency", 1000.0)):
            value = given.get(key)
            if value is not None and (type(value) not in (int, float) or not 0 <= value <= most):
                raise ValueError(f"rollout {key} is not a number from 0 to {most:g}")
        return cls(**given)

    def text(self) -> str:
        """The annotation that says this."""
        found: dict[str, Any] = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return json.dumps({**found, "steps": list(self.steps), "interval": f"{self.interval:g}s"})


@dataclass(frozen=True)
class Sticky:
    """By what a client stays with the revision that it met first: a header's value, else a cookie."""

    header: str | None = None


@dataclass(frozen=True)
class Intentions:
    """All annotations that mean something here.

    Args:
        mirror: percent of the requests that the newest revision gets a copy of.
        sticky: whether, and by what, clients stay with a revision.
        header: name and value (None: any) of the header by which a request asks for the newest revision.
        experiment: the name under which outcomes of the two revisions are compared.
        rollout: how the newest revision gets its traffic by itself.
        sample: the fraction of the predictions that is logged.
        revision: the kept revision that is meant, whatever ``storageUri`` means today.
        window: seconds without a request after which replicas are taken away.
    """

    mirror: int = 0
    sticky: Sticky | None = None
    header: tuple[str, str | None] | None = None
    experiment: str | None = None
    rollout: Rollout | None = None
    sample: float = 1.0
    revision: str | None = None
    window: float = 60.0

    @classmethod
    def of(cls, annotations: Mapping[str, str]) -> Intentions:
        """What these annotations ask for; those of others are not looked at.

        Raises:
            ValueError: one of Millpond's is not known, or has a value that it cannot have.
        """
        found: dict[str, Any] = {}
        for key, text in annotations.items():
            if key == WINDOW:
                found["window"] = seconds(WINDOW, text)
            if not key.startswith(PREFIX):
                continue
            name = key.removeprefix(PREFIX)
            if name in TOLD:
                continue
            reader = _READERS.get(name)
            if reader is None:
                hint = did_you_mean(name, _READERS)
                raise ValueError(f"unknown annotation {key}" + (f"; {hint}" if hint else ""))
            field_name, read = reader
            found[field_name] = read(text)
        return cls(**found)

    def check(self, percent: int | None) -> None:
        """Hold them against the canary's percentage.

        Raises:
            ValueError: a mirror, experiment or rollout without a second revision to speak of.
        """
        if percent is None or percent == 100:
            for name, asked in (
                ("mirror", self.mirror),
                ("experiment", self.experiment),
                ("rollout", self.rollout),
            ):
                if asked:
                    raise ValueError(
                        f"{PREFIX}{name} speaks of two revisions: set canaryTrafficPercent below 100 with it"
                    )
        if self.rollout is not None and self.mirror:
            raise ValueError(f"{PREFIX}rollout and {PREFIX}mirror exclude each other: mirror first")


def seconds(what: str, text: object) -> float:
    """A duration in seconds, from ``60s``, ``500ms``, ``5m`` or ``1h``.

    >>> seconds("window", "5m")
    300.0
    """
    match = _DURATION.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{what}: {text!r} is not a duration, such as 30s or 5m")
    return float(match[1]) * _SECONDS[match[2]]


def _steps(given: object) -> tuple[int, ...]:
    if not isinstance(given, list) or not given or any(type(step) is not int for step in given):
        raise ValueError("rollout steps is not a list of percentages, such as [5, 25, 50, 100]")
    if sorted(set(given)) != given or given[0] < 1 or given[-1] != 100:
        raise ValueError(f"rollout steps {given} do not grow from 1 or more to 100")
    return tuple(given)


def _mirror(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) <= 100:
        raise ValueError(f"{PREFIX}mirror: {text!r} is not a percentage from 0 to 100")
    return int(text)


def _sticky(text: str) -> Sticky:
    if text == "cookie":
        return Sticky()
    kind, _, name = text.partition(":")
    if kind != "header" or not _HEADER.match(name):
        raise ValueError(f"{PREFIX}sticky: {text!r} is neither cookie nor header:NAME")
    return Sticky(name.lower())


def _header(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not _HEADER.match(name):
        raise ValueError(f"{PREFIX}canary-header: {text!r} is neither NAME nor NAME=VALUE")
    return name.lower(), value if equals else None


def _label(text: str) -> str:
    if not _LABEL.match(text):
        raise ValueError(f"{PREFIX}: {text!r} is not a name of letters, digits, dots, dashes and underscores")
    return text


def _sample(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 < found <= 1:
        raise ValueError(f"{PREFIX}log-sample: {text!r} is not a fraction above 0, up to 1")
    return found


_READERS: dict[str, tuple[str, Any]] = {
    "mirror": ("mirror", _mirror),
    "sticky": ("sticky", _sticky),
    "canary-header": ("header", _header),
    "experiment": ("experiment", _label),
    "rollout": ("rollout", Rollout.of),
    "log-sample": ("sample", _sample),
    "revision": ("revision", _label),
}
