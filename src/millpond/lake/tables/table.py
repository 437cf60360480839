"""One Iceberg table of the lake: written whole, read at any branch, tag, snapshot or time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from millpond.model.errors import MillpondError, did_you_mean

NAMESPACE = "main"
_TRIES = 8
_MADE = "millpond.made"
At = str | int | datetime


class Table:
    """A table by its name; it need not be there yet.

    Args:
        name: ``namespace.table``, or ``table`` in the namespace ``main``.
        catalogue: PyIceberg's.
    """

    def __init__(self, name: str, catalogue: Any) -> None:
        parts = name.split(".")
        if not 1 <= len(parts) <= 2 or not all(part.isidentifier() for part in parts):
            raise MillpondError(f"{name} does not name a table", hint="write namespace.table, or table alone")
        self.namespace, self.table = parts if len(parts) == 2 else (NAMESPACE, parts[0])
        self._catalogue = catalogue

    @property
    def name(self) -> str:
        """Its whole name."""
        return f"{self.namespace}.{self.table}"

    def __repr__(self) -> str:
        return f"<table {self.name}>"

    def exists(self) -> bool:
        """Whether it is there."""
        from pyiceberg.exceptions import NoSuchTableError

        try:
            self._catalogue.load_table(self.name)
        except NoSuchTableError:
            return False
        return True

    def loaded(self) -> Any:
        """The table as PyIceberg's ``Table``, as it is now.

        Raises:
            MillpondError: there is none.
        """
        from pyiceberg.exceptions import NoSuchTableError

        try:
            with answered(f"of {self.name}"):
                return self._catalogue.load_table(self.name)
        except NoSuchTableError:
            raise MillpondError(
                f"there is no table {self.name}", hint=did_you_mean(self.name, names(self._catalogue))
            ) from None

    def create(self, rows: Any, *, partition_by: Sequence[str] = ()) -> Table:
        """Make the table with the columns of `rows`, and put them in.

        Args:
            rows: what `arrow` takes; a ``pyarrow.Schema`` makes an empty table.
            partition_by: columns whose values keep rows in files of their own.

        Raises:
            MillpondError: it is there already.
        """
        import pyarrow

        data = None if isinstance(rows, pyarrow.Schema) else arrow(rows)
        made = self._make(rows if data is None else data.schema)
        if made is None:
            raise MillpondError(f"there is a table {self.name} already", hint="append, overwrite or drop it")
        if partition_by:
            with made.update_spec() as spec:
                for column in partition_by:
                    spec.add_identity(column)
        if data is not None and data.num_rows:
            made.append(data)
        return self

    def append(self, rows: Any, *, branch: str | None = None) -> Table:
        """Add rows, on a branch of its own where one is named; makes the table where there is none."""
        data = arrow(rows)
        if branch is None and not self.exists():
            self._make(data.schema)
        return self._change(lambda table: table.append(data, **_on(table, branch)))

    def overwrite(self, rows: Any, *, branch: str | None = None) -> Table:
        """Put these rows in the place of all; earlier snapshots keep theirs."""
        data = arrow(rows)
        if branch is None and not self.exists():
            self._make(data.schema)
        return self._change(lambda table: table.overwrite(data, **_on(table, branch)))

    def scan(self, *, at: At | None = None, columns: Sequence[str] = ("*",), where: str | None = None) -> Any:
        """Its rows as a ``pyarrow.Table``.

        Args:
            at: a branch, a tag, a snapshot's number, or a time (a ``datetime``, or text in ISO form).
            where: a condition on columns, such as ``"carrier = 'UA'"``.

        Raises:
            MillpondError: there is no such table, branch, tag or snapshot, or nothing was there at that time.
        """
        table = self.loaded()
        snapshot = None if at is None else snapshot_at(table, at)
        condition = {"row_filter": where} if where else {}
        found = table.scan(selected_fields=tuple(columns), snapshot_id=snapshot, **condition)
        return found.to_arrow()

    def branch(self, name: str, *, at: At | None = None) -> Table:
        """Make a branch from where the table, or what `at` names, is now."""
        return self._refer("create_branch", name, at)

    def tag(self, name: str, *, at: At | None = None) -> Table:
        """Give a snapshot a name that stays."""
        return self._refer("create_tag", name, at)

    def refs(self) -> dict[str, dict[str, Any]]:
        """Branches and tags by name, each with its kind and its snapshot's number."""
        return {
            name: {"kind": str(ref.snapshot_ref_type.value), "snapshot": ref.snapshot_id}
            for name, ref in self.loaded().refs().items()
        }

    def history(self) -> list[dict[str, Any]]:
        """Its snapshots, first ones first: number, time, what was done, rows then."""
        found = []
        for snapshot in self.loaded().snapshots():
            said = snapshot.summary
            rows = said.get("total-records") if said is not None else None
            found.append(
                {
                    "snapshot": snapshot.snapshot_id,
                    "time": datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
                    "operation": said.operation.value if said is not None else None,
                    "rows": int(rows) if rows is not None else None,
                }
            )
        return found

    def drop(self) -> None:
        """Delete the table from the catalogue."""
        self._catalogue.drop_table(self.loaded().name())

    def _make(self, schema: Any) -> Any:
        """The table, made now; None where there is one already."""
        from pyiceberg.exceptions import TableAlreadyExistsError

        # The store's catalogue answers with the table that is there, and says nothing of it.
        mine = uuid4().hex
        self._catalogue.create_namespace_if_not_exists(self.namespace)
        try:
            made = self._catalogue.create_table(self.name, schema=schema, properties={_MADE: mine})
        except TableAlreadyExistsError:
            return None
        return made if made.properties.get(_MADE) == mine else None

    def _refer(self, how: str, name: str, at: At | None) -> Table:
        if not name.replace("-", "_").replace(".", "_").replace("/", "_").isidentifier():
            raise MillpondError(
                f"{name} is not a name for a branch or a tag", hint="letters, digits, - . / _"
            )

        def make(table: Any) -> None:
            if name in table.refs():
                raise MillpondError(f"{self.name} has a branch or tag {name} already")
            current = table.current_snapshot()
            snapshot = snapshot_at(table, at) if at is not None else current and current.snapshot_id
            if snapshot is None:
                raise MillpondError(f"{self.name} has no rows yet to name {name}", hint="append some first")
            getattr(table.manage_snapshots(), how)(snapshot, name).commit()

        return self._change(make)

    def _change(self, change: Callable[[Any], None]) -> Table:
        """Change it; where someone else did meanwhile, again on what is there now."""
        from pyiceberg.exceptions import CommitFailedException

        for number in range(_TRIES):
            try:
                change(self.loaded())
            except CommitFailedException:
                if number == _TRIES - 1:
                    raise MillpondError(
                        f"{self.name} was changed by others all the while", hint="try again in a moment"
                    ) from None
            else:
                break
        return self


def names(catalogue: Any) -> list[str]:
    """The names of all tables of a catalogue.

    Raises:
        MillpondError: it does not tell them to this key.
    """
    with answered("of tables"):
        return [
            ".".join(found)
            for namespace in catalogue.list_namespaces()
            for found in catalogue.list_tables(namespace)
        ]


@contextmanager
def answered(what: str) -> Iterator[None]:
    """Say in a user's words that the catalogue refuses to tell something, or does not answer.

    A table that is not there is none of that, and passes.
    """
    from pyiceberg.exceptions import NoSuchNamespaceError, RESTError
    from requests import RequestException

    try:
        yield
    except NoSuchNamespaceError:
        raise MillpondError(
            f"the catalogue tells nothing {what} to this key",
            hint="there is none, or its owner has not let you see it",
        ) from None
    except (RESTError, RequestException) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise MillpondError(f"the catalogue tells nothing {what}: {reason}") from None


def snapshot_at(table: Any, at: At) -> int:
    """The number of the snapshot that a branch, a tag, a number or a time means.

    Args:
        table: PyIceberg's.

    Raises:
        MillpondError: it means none.
    """
    name = ".".join(table.name())
    if isinstance(at, datetime):
        moment = at if at.tzinfo else at.astimezone()
        found = table.snapshot_as_of_timestamp(int(moment.timestamp() * 1000))
        if found is None:
            raise MillpondError(f"{name} had no rows yet at {moment.isoformat()}")
        return int(found.snapshot_id)
    refs = table.refs()
    if isinstance(at, str) and at in refs:
        return int(refs[at].snapshot_id)
    if isinstance(at, int) or at.isdigit():
        if table.snapshot_by_id(int(at)) is None:
            raise MillpondError(f"{name} has no snapshot {at}", hint="its history lists them")
        return int(at)
    try:
        return snapshot_at(table, datetime.fromisoformat(at))
    except ValueError:
        raise MillpondError(f"{name} has no branch or tag {at}", hint=did_you_mean(at, refs)) from None


def arrow(rows: Any) -> Any:
    """Rows as a ``pyarrow.Table``: from one, a data frame, a DuckDB relation, or a list of mappings.

    Raises:
        MillpondError: it is none of these.
    """
    import pyarrow

    if isinstance(rows, pyarrow.Table):
        return rows
    if isinstance(rows, (pyarrow.RecordBatch, pyarrow.RecordBatchReader)):
        batches = [rows] if isinstance(rows, pyarrow.RecordBatch) else list(rows)
        return pyarrow.Table.from_batches(batches, rows.schema)
    if hasattr(rows, "__arrow_c_stream__"):
        return pyarrow.table(rows)
    if isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
        return pyarrow.Table.from_pylist(list(rows))
    raise MillpondError(
        f"{type(rows).__name__} is not rows for a table",
        hint="give a pyarrow.Table, a data frame, what sql() returned, or a list of mappings",
    )


def _on(table: Any, branch: str | None) -> dict[str, str]:
    if branch is None:
        return {}
    ref = table.refs().get(branch)
    if ref is None or ref.snapshot_ref_type.value != "branch":
        branches = [name for name, found in table.refs().items() if found.snapshot_ref_type.value == "branch"]
        raise MillpondError(
            f"{'.'.join(table.name())} has no branch {branch}", hint=did_you_mean(branch, branches)
        )
    return {"branch": branch}
