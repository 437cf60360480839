"""What a query can name without being told where it is: the platform's databases, found in the environment.

Each is attached read-only, under its interface's name, when a query first names it. So a query that reads a
file waits for no database, and one that is down troubles only those who ask it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from millpond.model.errors import MillpondError, UsageError
from millpond.query.words import identifier, literal


@dataclass(frozen=True)
class Source:
    """A database, and how DuckDB reaches it.

    Args:
        name: how a query names it.
        kind: ``postgres``, ``mysql``, ``sqlite`` or ``duckdb``.
        statements: what attaches it; secrets are in them.
        where: for messages; no secret is in it.
    """

    name: str
    kind: str
    statements: tuple[str, ...]
    where: str

    @property
    def extension(self) -> str | None:
        """The extension that reads it; None for DuckDB's own files."""
        return None if self.kind == "duckdb" else f"{self.kind}_scanner"


def found_in(environment: Mapping[str, str]) -> list[Source]:
    """The databases that the environment names as ``millpond env`` does."""
    sources = []
    if host := environment.get("PGHOST"):
        given = {
            "HOST": host,
            "PORT": environment.get("PGPORT", "5432"),
            "DATABASE": environment.get("PGDATABASE", ""),
            "USER": environment.get("PGUSER", ""),
            "PASSWORD": environment.get("PGPASSWORD", ""),
        }
        sources.append(_served("postgres", "postgres", given))
    if host := environment.get("MYSQL_HOST"):
        given = {
            "HOST": host,
            "PORT": environment.get("MYSQL_TCP_PORT", "3306"),
            "DATABASE": environment.get("MYSQL_DATABASE", ""),
            "USER": environment.get("MYSQL_USER", ""),
            "PASSWORD": environment.get("MYSQL_PWD", ""),
        }
        sources.append(_served("mysql", "mysql", given))
    return sources


def named(text: str, folder: Path) -> Source:
    """One that the user names: ``NAME=FILE`` (SQLite, DuckDB), or ``NAME=env:VARIABLE`` with a URI in it.

    Args:
        folder: what a relative path starts from.

    Raises:
        UsageError: it is neither.
        MillpondError: there is no such file, or the variable is not set.
    """
    name, sign, what = text.partition("=")
    if not name.isidentifier() or not sign or not what:
        raise UsageError(f"{text} does not name a database", hint="write NAME=FILE or NAME=env:VARIABLE")
    if what.startswith("env:"):
        uri = os.environ.get(what.removeprefix("env:"), "")
        kind = {"postgresql": "postgres", "postgres": "postgres", "mysql": "mysql", "mariadb": "mysql"}.get(
            uri.partition("://")[0].partition("+")[0]
        )
        if kind is None:
            raise MillpondError(
                f"{what.removeprefix('env:')} holds no address of a database for {name}",
                hint="set it to a URI, such as postgresql://user:password@host/database or mysql://…",
            )
        scheme = "postgresql" if kind == "postgres" else "mysql"
        address = f"{scheme}://{uri.partition('://')[2]}"
        attach = f"ATTACH {literal(address)} AS {identifier(name)} (TYPE {kind}, READ_ONLY)"
        return Source(name, kind, (attach,), what)
    file = folder / Path(what).expanduser()
    if not file.is_file():
        raise MillpondError(
            f"there is no file {what} for {name}", hint="write NAME=FILE or NAME=env:VARIABLE"
        )
    with file.open("rb") as opened:
        kind = "sqlite" if opened.read(15) == b"SQLite format 3" else "duckdb"
    attach = f"ATTACH {literal(str(file))} AS {identifier(name)} (TYPE {kind}, READ_ONLY)"
    return Source(name, kind, (attach,), what)


def _served(name: str, kind: str, given: Mapping[str, str]) -> Source:
    options = ", ".join(f"{key} {literal(value)}" for key, value in given.items() if value)
    secret = identifier(f"millpond_{name}")
    return Source(
        name,
        kind,
        (
            f"CREATE OR REPLACE SECRET {secret} (TYPE {kind}, {options})",
            f"ATTACH '' AS {identifier(name)} (TYPE {kind}, READ_ONLY, SECRET {secret})",
        ),
        f"{given['HOST']}:{given['PORT']}",
    )
