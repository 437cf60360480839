"""What drift is measured against: a part of the log, or a table of the lake.

Without a word from the controller it is the first thousand rows that the primary revision answered. A
reference that was found is kept in a file: it must not change because the window moved on.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pyarrow import parquet

from millpond.lake.store import Store
from millpond.model.errors import MillpondError
from millpond.serving.monitor.bodies import content
from millpond.serving.monitor.columns import MOST_ROWS, Sample, features, outputs
from millpond.serving.monitor.record import Prediction
from millpond.serving.monitor.settings import Settings
from millpond.serving.monitor.window import View

ROWS = 1000


@dataclass(frozen=True)
class Reference:
    """Columns to compare with; `until` is the time from which on there is something to compare.

    `rows` are there and `needed` were asked for: with fewer the reference is not whole yet.
    """

    source: str
    revision: str | None
    rows: int
    needed: int
    until: float
    features: dict[str, Sample]
    outputs: dict[str, Sample]

    @property
    def whole(self) -> bool:
        """Whether it has all the rows that it is to have."""
        return self.rows >= self.needed

    def about(self) -> dict[str, Any]:
        """It in a few words."""
        return {
            "source": self.source,
            "revision": self.revision,
            "rows": self.rows,
            "needed": self.needed,
            "whole": self.whole,
            "until": self.until,
        }


class References:
    """The references of deployments, each in its folder below `data` once it is whole."""

    def __init__(self, data: Path, store: Store) -> None:
        self._data = data
        self._store = store
        self._tables: dict[str, Reference] = {}

    def find(self, settings: Settings, view: View, revision: str | None) -> Reference:
        """The reference of a deployment.

        Raises:
            MillpondError: the table that the settings name cannot be read.
        """
        wanted = settings.reference or {}
        if path := wanted.get("path"):
            return self._table(str(path))
        revision = wanted.get("revision") or revision
        identity = orjson.dumps([wanted, revision], option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha256(identity).hexdigest()[:12]
        file = self._data / settings.deployment / f"reference-{digest}.json"
        kept = _kept(file)
        if kept is not None:
            return kept
        found = _from_log(view, wanted, revision)
        if found.whole:
            _keep(file, found)
        return found

    def _table(self, path: str) -> Reference:
        if path not in self._tables:
            table = parquet.read_table(io.BytesIO(self._store.read(path)))
            rows = min(table.num_rows, MOST_ROWS)
            columns = {name: _sample(table[name].slice(0, rows).to_pylist()) for name in table.column_names}
            answers = {name: columns.pop(name) for name in ("prediction",) if name in columns}
            self._tables[path] = Reference(path, None, rows, 1, 0.0, columns, answers)
        return self._tables[path]


def _from_log(view: View, wanted: dict[str, Any], revision: str | None) -> Reference:
    since, until = wanted.get("since"), wanted.get("until")
    found = [entry for entry in view.of(revision, since, until) if entry.answered]
    found.sort(key=lambda entry: entry.time)
    most = MOST_ROWS if until is not None else int(wanted.get("rows") or ROWS)
    chosen: list[Prediction] = []
    rows = 0
    for entry in found:
        if rows >= most:
            break
        chosen.append(entry)
        rows += max((len(values) for values in content(entry).outputs.values()), default=0)
    return Reference(
        source="the time from since to until" if until is not None else f"the first {most} rows",
        revision=revision,
        rows=rows,
        needed=1 if until is not None else most,
        until=float(until) if until is not None else (chosen[-1].time if chosen else 0.0),
        features=features(chosen),
        outputs=outputs(chosen),
    )


def _sample(values: list[Any]) -> Sample:
    found = [value for value in values if value is not None and value == value]
    return Sample(
        [value if isinstance(value, bool | int | float) else str(value) for value in found],
        len(values) - len(found),
    )


def _keep(file: Path, found: Reference) -> None:
    document = {
        **found.about(),
        "features": {name: [part.values, part.missing] for name, part in found.features.items()},
        "outputs": {name: [part.values, part.missing] for name, part in found.outputs.items()},
    }
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS))
    part.replace(file)


def _kept(file: Path) -> Reference | None:
    try:
        found = orjson.loads(file.read_bytes())
        sides = [
            {name: Sample(values, missing) for name, (values, missing) in found[side].items()}
            for side in ("features", "outputs")
        ]
        return Reference(
            found["source"],
            found["revision"],
            found["rows"],
            found["needed"],
            found["until"],
            sides[0],
            sides[1],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def unreadable(error: MillpondError) -> dict[str, Any]:
    """A reference that cannot be read, said in its place."""
    return {"source": None, "whole": False, "error": error.message}
