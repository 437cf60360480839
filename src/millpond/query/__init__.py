"""SQL over everything that the platform holds: files of the lake, tables, databases; by DuckDB.

```python
from millpond import sql

sql("select carrier, avg(arr_delay) from 'lake://raw/flights/*.csv' group by carrier").df()
```
"""

from __future__ import annotations

import threading
from typing import Any

from millpond.query.failure import QueryError
from millpond.query.session import Session

_mine = threading.local()


def sql(query: str) -> Any:
    """Ask the lake, its tables and the platform's databases; nothing has to be configured.

    Args:
        query: DuckDB's SQL. ``'lake://bucket/path*.parquet'`` names files of the lake, ``postgres.public.t``
            a table of the platform's PostgreSQL, ``lake.namespace.t`` an Iceberg table.

    Returns:
        A DuckDB relation: ``.df()``, ``.pl()``, ``.arrow()``, ``.fetchall()``, or shown as it is.

    Raises:
        QueryError: the query is wrong; says where, and what may have been meant.
        MillpondError: something that it names cannot be reached.
    """
    if not hasattr(_mine, "session"):
        _mine.session = Session()
    return _mine.session.relation(query)


__all__ = ["QueryError", "Session", "sql"]
