"""Get the waiting list: your own CSV, or a synthetic one.

Two steps, because a file on disk can change behind an unchanged path: `source` always runs and says what
is to be taken, with the file's digest; `ingest` does the work and is skipped as long as that answer stays
the same.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

import waiting_list

from millpond.model.errors import MillpondError
from millpond.pipelines.context import StepContext


def source(csv: str, seed: int) -> dict[str, Any]:
    """What the list is made from: a file of the user's and its digest, or the generator and its seed."""
    if not csv:
        return {"generator": "waiting_list", "seed": seed}
    path = _own_file(csv)
    with path.open("rb") as file:
        return {"csv": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def ingest(source: dict[str, Any], date: dt.date, context: StepContext) -> Path:
    """The raw list of `date`: the user's bytes as they are, or a generated file."""
    if "csv" in source:
        path = _own_file(source["csv"])
        print(f"taking {path}, {path.stat().st_size:,} bytes")
        return path
    table = waiting_list.generate(date, source["seed"])
    print(f"generated {len(table):,} rows x {table.shape[1]} columns, synthetic, seed {source['seed']}")
    return waiting_list.write(table, context.folder / "wachttijden.csv")


def _own_file(csv: str) -> Path:
    path = Path(csv).expanduser()
    if not path.is_absolute():
        raise MillpondError(
            f"csv={csv} is a relative path, and steps run in other processes than your shell",
            hint=f'give the whole path: csv="$PWD/{csv}"',
        )
    if not path.is_file():
        raise MillpondError(f"csv={csv} is not a file on this machine", hint="check the path")
    return path
