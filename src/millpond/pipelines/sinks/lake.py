"""The sink of every output that names no other: the lake, or the reference itself when it is small."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from millpond.lake.reference import LakePath, Reference
from millpond.lake.store import open_store
from millpond.model.errors import MillpondError
from millpond.pipelines.codec import SMALL, decode, encode, plain
from millpond.pipelines.extension import Keys, Problem, Sink, StepCall
from millpond.pipelines.registry import model_exists
from millpond.pipelines.task import OutputTask


class LakeKeys(Keys):
    """``path`` in the lake (small values may do without), and the ``separator`` of CSV."""

    path: str | None = Field(
        default=None, description="Bucket and key; numbers, texts, JSON and models may do without"
    )
    separator: str = Field(default=",", description="What separates the columns of a .csv")


class LakeSink(Sink):
    """Objects in the lake; numbers, texts, JSON and names of models may travel by value."""

    keys = LakeKeys

    def check(self, port_type: str, keys: LakeKeys) -> Iterable[Problem]:
        """Large types need a path, tables one with a format's extension."""
        if keys.path is None and port_type in ("table", "file"):
            yield Problem(("type",), f"a {port_type} needs a path", "such as intermediate/NAME/FILE.parquet")
        if keys.path is not None and port_type == "table" and not keys.path.endswith((".parquet", ".csv")):
            yield Problem(("path",), "a table is written as .parquet or .csv", "change the path's extension")

    def write(self, value: Any, port: OutputTask, call: StepCall) -> Reference:
        """Encode and store; see `Sink.write`."""
        path = port.keys.get("path")
        if port.type == "reference":
            return _existing(value)
        if path is None:
            if hasattr(value, "read_bytes") and port.type in SMALL:
                value = decode(Reference("", type=port.type), value.read_bytes())
            return Reference.of_value(plain(value, port.type), port.type)
        place = LakePath.parse(str(path))
        separator = str(port.keys.get("separator", ","))
        encoded = encode(value, port.type, place.suffix, separator)
        stat = call.context.store.put(place, encoded.source)
        options = {"separator": separator} if port.type == "table" and place.suffix == ".csv" else None
        uri = place.at(stat.version).uri
        return Reference(uri, stat.version, stat.sha256, stat.size, port.type, encoded.rows, options)

    def exists(self, reference: Reference, port: OutputTask) -> bool:
        """By value: always, but a model must still be registered. Else: the same bytes must be there."""
        if reference.by_value:
            return reference.type != "model" or model_exists(reference.value)
        stat = open_store().stat(reference.path)
        if stat is None:
            return False
        if stat.sha256 and reference.sha256:
            return stat.sha256 == reference.sha256
        return stat.version == reference.version


def _existing(value: Any) -> Reference:
    if isinstance(value, Reference):
        return value
    if not isinstance(value, str):
        raise TypeError(f"a Reference or a path of the lake is expected, not {value.__class__.__name__}")
    place = LakePath.parse(value)
    stat = open_store().stat(place)
    if stat is None:
        raise MillpondError(f"{place.uri} is not in the lake", hint="write it before you return its path")
    return Reference(place.at(stat.version).uri, stat.version, stat.sha256, stat.size, "reference")
