"""What DuckDB says of a query that failed, as one sentence with its place and what may have been meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Protocol

from millpond.model.errors import DocumentError, MillpondError, Place, did_you_mean
from millpond.query.words import Edited

SOURCE = "query"
_MISSING_FILE = re.compile(
    r"reading '(?P<http>\w+://[^']+)'.*404|No files found that match the pattern \"(?P<glob>[^\"]+)\"",
    re.DOTALL,
)
_REFUSED = re.compile(r"'(\w+://[^']+)'.*403", re.DOTALL)
_NO_CATALOG = re.compile(r'Catalog "(?P<a>[^"]+)" does not exist|Catalog with name (?P<b>\S+) does not exist')
_NO_SCHEMA = re.compile(r'because schema "(?P<name>[^"]+)" does not exist')
_NO_TABLE = re.compile(r"(?:Table|View) with name (?P<name>\S+) does not exist")
_KIND = re.compile(r"^[A-Z][\w ]* Error: ")
_CANDIDATES = re.compile(r"\n*(Did you mean|Candidate bindings).*", re.DOTALL)


class QueryError(DocumentError):
    """A query is wrong at a known place."""


class Known(Protocol):
    """What a query could have named; asked when something is missing."""

    endpoint: str

    def tables(self) -> Iterable[str]:
        """Tables and views with their database and schema, such as ``postgres.public.orders``."""

    def databases(self) -> Iterable[str]:
        """Databases, also those that no query has named yet."""

    def files_beside(self, path: str) -> Iterable[str]:
        """The files in the folder of one."""


def told(error: Exception, query: Edited, known: Known) -> MillpondError:
    """The error that a user sees, for one that DuckDB raised."""
    said = _said(error)
    message = str(said.get("exception_message") or _KIND.sub("", str(error))).strip()
    kind = str(said.get("exception_type", ""))
    if found := _MISSING_FILE.search(message):
        path = _in_s3(found["http"] or found["glob"], known.endpoint)
        near = get_close_matches(path, list(known.files_beside(path)), n=1, cutoff=0.6)
        meant = f"did you mean {_as_lake(near[0])}?" if near else "is its path right, and was it written?"
        return _placed(query, _position_of(query, path), f"there is no file {_as_lake(path)}", meant)
    if found := _REFUSED.search(message):
        path = _in_s3(found[1], known.endpoint)
        reason = f"the lake refuses {_as_lake(path)} to this key"
        return _placed(query, _position_of(query, path), reason, "`millpond lake matrix` shows who may what")
    if kind == "Out of Memory" or "Out of Memory" in message[:20]:
        return MillpondError(
            f"the query needs more memory than it may take: {message.splitlines()[0]}",
            hint="--memory allows more, and a LIMIT or fewer columns need less",
        )
    sentence = _CANDIDATES.sub("", message).split("\n\nLINE ")[0].strip().rstrip("!.").replace("\n", " ")
    hint = _hint(message, said, known)
    position = said.get("position")
    if position is None and (named := _NO_CATALOG.search(message)):
        position = _position_of(query, named["a"] or named["b"])
    if isinstance(position, str):
        # The parser counts characters, and what comes after it bytes.
        position = int(position) if kind == "Parser" else _characters(query.text, int(position))
    return _placed(query, position, sentence[:1].lower() + sentence[1:], hint)


def _said(error: Exception) -> dict[str, Any]:
    """DuckDB's own description of an error, where it gave it as JSON (``errors_as_json``)."""
    text = str(error)
    start = text.find("{")
    if start < 0:
        return {}
    try:
        found = json.loads(text[start:])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _hint(message: str, said: dict[str, Any], known: Known) -> str | None:
    if found := _NO_CATALOG.search(message):
        return did_you_mean(found["a"] or found["b"], known.databases()) or "no database is known here"
    if found := _NO_SCHEMA.search(message):
        schemas = {part for name in known.tables() for part in (name.split(".")[1], name.split(".")[0])}
        return did_you_mean(found["name"], {*known.databases(), *schemas} - {"memory", "main"})
    if found := _NO_TABLE.search(message):
        names = {name.rpartition(".")[2]: name for name in known.tables()}
        wanted = found["name"].rpartition(".")[2]
        near = get_close_matches(wanted, list(names), n=1, cutoff=0.5)
        return f"did you mean {names[near[0]]}?" if near else "SHOW ALL TABLES lists what there is"
    candidates = str(said.get("candidates", "")).split(",")
    if candidates[0]:
        return f"did you mean {candidates[0].strip()}?"
    return None


def _placed(query: Edited, position: int | None, message: str, hint: str | None) -> MillpondError:
    if position is None:
        return MillpondError(message, hint=hint, exit_code=3)
    return QueryError(Place(SOURCE, *query.line_and_column(position)), message, hint=hint)


def _position_of(query: Edited, text: str) -> int | None:
    found = query.text.find(text)
    return found if found >= 0 else None


def _characters(text: str, offset: int) -> int:
    """An offset in bytes, as DuckDB counts, in characters."""
    return len(text.encode()[:offset].decode(errors="ignore"))


def _in_s3(path: str, endpoint: str) -> str:
    """A place by its name in S3; some errors tell the URL that was asked for."""
    return f"s3:/{path.removeprefix(endpoint)}" if endpoint and path.startswith(endpoint) else path


def _as_lake(path: str) -> str:
    return f"lake://{path.removeprefix('s3://')}" if path.startswith("s3://") else path
