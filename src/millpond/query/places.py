"""Places of the lake in a query, ``'lake://bucket/path*.csv'`` and ``'raw/x.csv'``, as DuckDB reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from millpond.model.errors import MillpondError
from millpond.query.words import Edit, Word, literal

LAKE = "lake://"
_READERS = re.compile(r"(read_\w+|parquet_\w+|sniff_csv|glob|iceberg_\w+|delta_scan)", re.IGNORECASE)
_BUCKET_PATH = re.compile(
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/\S+\.(parquet|csv|tsv|txt|json|jsonl|ndjson)(\.gz|\.zst)?"
)


@dataclass(frozen=True)
class Lake:
    """The lake as DuckDB reaches it: an object store, or a folder.

    Args:
        root: the folder; None for an object store.
        endpoint: the object store's URL, empty for AWS itself.
        key, secret, region: what requests are signed with.
    """

    root: Path | None = None
    endpoint: str = ""
    key: str = ""
    secret: str = ""
    region: str = "us-east-1"

    @classmethod
    def found_in(cls, environment: Mapping[str, str]) -> Lake | None:
        """The lake that the environment names, by the same names as everywhere; None where it names none."""
        if root := environment.get("MILLPOND_LAKE_ROOT"):
            return cls(root=Path(root))
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
        key = environment.get("AWS_ACCESS_KEY_ID", "")
        if not endpoint and not key:
            return None
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        return cls(None, endpoint, key, environment.get("AWS_SECRET_ACCESS_KEY", ""), region)

    def statement(self) -> str | None:
        """What tells DuckDB the keys; None for a folder. A secret is in it."""
        if self.root is not None:
            return None
        given = {"KEY_ID": self.key, "SECRET": self.secret, "REGION": self.region}
        options = [f"{name} {literal(value)}" for name, value in given.items() if value]
        if self.endpoint:
            address = urlsplit(self.endpoint)
            options += [f"ENDPOINT {literal(address.netloc)}", "URL_STYLE 'path'"]
            options += [f"USE_SSL {str(address.scheme == 'https').lower()}"]
        return f"CREATE OR REPLACE SECRET millpond_lake (TYPE s3, {', '.join(options)})"

    def address(self, path: str) -> str:
        """Where DuckDB finds ``bucket/path``.

        Raises:
            MillpondError: the path climbs out of its bucket.
        """
        if ".." in path.split("/") or path.startswith("/"):
            raise MillpondError(f"{path} is not a path of the lake", hint="write lake://bucket/path")
        return f"s3://{path}" if self.root is None else str(self.root / path)


def lake_edits(
    found: Sequence[Word], lake: Lake | None, folder: Path, versions: Callable[[str], str]
) -> list[Edit]:
    """How the places of the lake in a query have to be put.

    ``'lake://…'`` always means a place. ``'bucket/path.csv'`` does where a file is read, unless a local file
    has that name.

    Args:
        folder: where local files are looked for.
        versions: where the files of ``repository@ref/path`` are.

    Raises:
        MillpondError: a query names a place, and no lake is known.
    """
    edits = []
    for number, word in enumerate(found):
        if word.kind != "text":
            continue
        if word.value.startswith(LAKE):
            if lake is None:
                raise MillpondError(
                    f"no lake is known here, and the query names {word.value}",
                    hint="millpond up, with a flavour that has an object store; or set MILLPOND_LAKE_ROOT",
                )
            path = word.value.removeprefix(LAKE)
            address = versions(path) if "@" in path.partition("/")[0] else lake.address(path)
        elif lake is not None and _BUCKET_PATH.fullmatch(word.value) and _is_read(found, number):
            if any(folder.glob(word.value)):
                continue
            address = lake.address(word.value)
        else:
            continue
        edits.append(Edit(word.start, word.end, literal(address)))
    return edits


def _is_read(found: Sequence[Word], number: int) -> bool:
    """Whether a text stands where a file is read: after FROM or JOIN, or as what a reader is given first."""
    before = number - 1
    if before >= 0 and found[before].is_keyword("from", "join"):
        return True
    while before >= 0 and (found[before].kind == "text" or found[before].value in ("[", ",")):
        before -= 1
    return before >= 1 and found[before].value == "(" and bool(_READERS.fullmatch(found[before - 1].value))
