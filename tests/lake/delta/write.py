"""Writes a Delta table to the store that the environment names: two versions, partitions, and a deletion."""

import os
import sys

from arro3.core import Array, DataType, Table
from deltalake import DeltaTable, write_deltalake

place = sys.argv[1]
options = {
    "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
    "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"],
    "AWS_SECRET_ACCESS_KEY": os.environ["AWS_SECRET_ACCESS_KEY"],
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


def rows(year: int, first: int, count: int) -> Table:
    """Rows of one year, numbered from one on."""
    number, text = DataType.int64(), DataType.utf8()
    return Table.from_pydict(
        {
            "year": Array([year] * count, number),
            "id": Array(list(range(first, first + count)), number),
            "carrier": Array(["AA", "BB"] * (count // 2), text),
        }
    )


write_deltalake(place, rows(2012, 0, 100), partition_by=["year"], storage_options=options)
write_deltalake(place, rows(2013, 100, 50), mode="append", storage_options=options)
DeltaTable(place, storage_options=options).delete("id < 10")
sys.stdout.write(str(DeltaTable(place, storage_options=options).version()))
