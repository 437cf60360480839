"""One question about a deployment's predictions, answered from the lake, where no monitor runs all the time.

On a cluster the pods of models carry their log to the lake themselves (`millpond.serving.monitor.carrier`);
who wants to know something reads it there. The answers are the monitor's own.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import time
from typing import Any

import orjson

from millpond.lake.store import Store
from millpond.model.errors import did_you_mean
from millpond.serving.monitor import report
from millpond.serving.monitor.collector import Collector, UnknownDeployment
from millpond.serving.monitor.history import History
from millpond.serving.monitor.questions import BadQuestion, Questions
from millpond.serving.monitor.reference import References
from millpond.serving.monitor.settings import SETTINGS
from millpond.serving.predictionlog import Control

QUESTIONS = ("window", "compare", "distance", "experiment", "drift", "quality")
PAGES: Mapping[str, Callable[..., Any]] = {"report": report.report, "compare.svg": report.picture}


def answer(
    what: str,
    name: str,
    settings: Mapping[str, Any],
    query: dict[str, str],
    since: float,
    lake: tuple[Store, str],
) -> bytes:
    """The answer as JSON, or a page.

    Args:
        what: one of `QUESTIONS` or `PAGES`.
        name: the deployment.
        settings: what the controller would write for the monitor, with ``sample``.
        query: the question's parameters.
        since: from when on the log is read, in Unix seconds.
        lake: where the log is, and its bucket.

    Raises:
        MillpondError: nothing was noted, a parameter is wrong, or the lake refuses.
    """
    store, bucket = lake
    history = History(store, bucket)
    entries, complete = history.load(str(settings.get("namespace") or "default"), name, since, time())
    if not entries:
        raise UnknownDeployment(
            f"no predictions of {name} are in the lake",
            hint="--log has them noted; they are there some seconds later",
        )
    with tempfile.TemporaryDirectory(prefix="millpond-asked-") as scratch:
        folder = Path(scratch) / "predictions" / name
        Control(str(settings.get("mode", "off")), float(settings.get("sample", 1.0))).write(folder)
        (folder / SETTINGS).write_text(json.dumps(dict(settings)))
        collector = Collector(folder.parent, Path(scratch) / "monitor", store, bucket)
        collector.start()
        try:
            window = collector.intake(name).window
            window.add(entries)
            if not complete:
                window.forget_before(entries[0].time)
            questions = Questions(collector, history, References(Path(scratch) / "monitor", store))
            if what not in (*QUESTIONS, *PAGES):
                raise BadQuestion(f"there is no question {what}", hint=did_you_mean(what, QUESTIONS))
            if what in PAGES:
                return bytes(PAGES[what](questions, name, query).body)
            found = getattr(questions, what)(name, query)
            return bytes(orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY))
        finally:
            collector.stop()
