"""`millpond sql`: ask the lake, its tables and the platform's databases in one query."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from millpond.cli.session import Session, json_option, long_file_option, pass_session
from millpond.cli.style import hint, note, out

_SHOWN = 100


@click.command("sql")
@click.argument("query", required=False)
@click.option("-i", "--input-file", metavar="FILE", help="Read the query from a file; - is standard input")
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "csv", "json", "jsonl", "parquet", "arrow"]),
    help="How rows are written  [default: table, or what --output ends in]",
)
@click.option(
    "-o", "--output", metavar="PLACE", help="Write rows to lake://bucket/path or a file, whole or not at all"
)
@click.option("--memory", metavar="SIZE", help="The most memory that the query may take, such as 2GB")
@click.option(
    "--timeout", type=click.FloatRange(min=0.001), metavar="SECONDS", help="Give the query up after this"
)
@click.option("--max-rows", type=click.IntRange(min=0), metavar="N", help="Hand out no more rows than this")
@click.option(
    "--attach",
    multiple=True,
    metavar="NAME=WHAT",
    help="One more database: a file of SQLite or DuckDB, or env:VARIABLE with its URI",
)
@long_file_option
@json_option
@pass_session
def command(
    session: Session,
    query: str | None,
    input_file: str | None,
    style: str | None,
    output: str | None,
    memory: str | None,
    timeout: float | None,
    max_rows: int | None,
    attach: tuple[str, ...],
) -> None:
    """Ask the lake, its tables and the platform's databases in one query; by DuckDB.

    Files: 'lake://bucket/path*.parquet', 'raw/x.csv', local ones. Tables: postgres.public.orders and
    lake.namespace.table [AT (BRANCH => 'dev')]. SHOW ALL TABLES lists what there is. Without QUERY, a prompt.
    """
    from millpond.cli.inside import go_inside
    from millpond.model.errors import UsageError

    given = sum((query is not None and query != "-", input_file is not None or query == "-"))
    if given > 1:
        raise UsageError("a query is given twice", hint="as an argument, or by --input-file")
    prompt = not given and sys.stdin.isatty()
    if output and prompt:
        raise UsageError(
            "--output needs a query", hint='millpond sql "SELECT …" --output lake://bucket/x.parquet'
        )
    # What it names may be reached or not; nothing has to be ready that it does not name.
    go_inside(session, "sql", interfaces=())
    from millpond.cli.manner import text_of
    from millpond.query import Session as Queries
    from millpond.query.results import format_of
    from millpond.query.sources import named

    if not prompt and (query is None or query == "-"):
        query, _ = text_of(session.folder, input_file or "-")
    style = style or (format_of(output) if output else "json" if session.json else "table")
    sources = [named(text, session.folder) for text in attach]
    asked = Queries(memory=memory, sources=sources, folder=session.folder)
    if prompt or query is None:
        from millpond.cli.sql_prompt import converse

        converse(lambda text: _answer(asked, text, style, None, timeout, max_rows))
        return
    place = output if output is None or "://" in output else str(session.folder / Path(output).expanduser())
    _answer(asked, query, style, place, timeout, max_rows)


def _answer(
    asked: object, query: str, style: str, output: str | None, timeout: float | None, rows: int | None
) -> None:
    """Carry a query out, and write its rows."""
    import tempfile

    from millpond.cli.busy import busy
    from millpond.model.errors import UsageError
    from millpond.query import Session as Queries
    from millpond.query.results import write, write_file

    assert isinstance(asked, Queries)
    if style in ("parquet", "arrow") and output is None and sys.stdout.isatty():
        raise UsageError(f"{style} is nothing for a terminal", hint="--output FILE, or into a pipe")

    def percent() -> str:
        done = asked.progress()
        return f"{done:.0f} %" if done > 0 else ""

    if style == "table" and output is None:
        limit = _SHOWN if rows is None else rows
        with busy("running the query", percent):
            table = asked.reader(query, timeout=timeout, rows=limit + 1).read_all()
        _show(table.slice(0, limit))
        if table.num_rows > limit:
            note(f"the first {limit:,} rows; there are more")
            if rows is None:
                hint("--max-rows shows more, --format csv all")
    else:
        if style == "table":
            raise UsageError("a table is for the eye", hint="--format csv, json, jsonl, parquet or arrow")
        if output is not None:
            with busy("running the query", percent):
                count = write(asked.reader(query, timeout=timeout, rows=rows), style, output)
            note(f"wrote {count:,} rows to {output}")
        else:
            with tempfile.TemporaryDirectory(prefix="millpond-sql-") as folder:
                made = Path(folder, "result")
                with busy("running the query", percent):
                    write_file(asked.reader(query, timeout=timeout, rows=rows), style, made)
                sys.stdout.flush()
                with made.open("rb") as file:
                    while chunk := file.read(1 << 20):
                        sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
    for name, reason in asked.unreached.items():
        note(f"without {name}: {reason}")


def _show(table: object) -> None:
    """Rows as a table on standard output; numbers stand right."""
    from millpond.cli.sql_table import lines

    for line in lines(table):
        out(line)
