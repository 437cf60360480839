"""Tables of the lake, in Iceberg's open format: branches, tags and time travel, readable by any engine.

The catalogue is the object store's own REST catalogue. It takes conditional commits, so that two writers
never lose each other's rows, and any program that speaks Iceberg reads the same tables.

```python
from millpond import lake

delays = lake.table("flights.delays").append(frame).tag("monday")
delays.branch("try").append(more, branch="try")
delays.scan(at="monday")
```
"""

from __future__ import annotations

from collections.abc import Mapping

from millpond.lake.tables.catalogue import named_in, open_catalogue
from millpond.lake.tables.table import NAMESPACE, Table, names, snapshot_at


def table(name: str, environment: Mapping[str, str] | None = None) -> Table:
    """A table of the lake by its name, ``namespace.table``; it need not be there yet.

    Raises:
        MillpondError: the name is none, or no catalogue is known or answers.
    """
    return Table(name, open_catalogue(environment))


def listed(environment: Mapping[str, str] | None = None) -> list[str]:
    """The names of all tables of the lake."""
    return names(open_catalogue(environment))


__all__ = ["NAMESPACE", "Table", "listed", "named_in", "open_catalogue", "snapshot_at", "table"]
