"""From the raw list to the rows that the model learns from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from millpond.model.errors import MillpondError

TARGET = "WACHTTIJD"
FEATURES = ["TYPE_WACHTTIJD", "SPECIALISME", "ROAZ_REGIO", "TYPE_ZORGINSTELLING"]
SELECTED = [TARGET, *FEATURES]


def select_features(raw: Path) -> pd.DataFrame:
    """The waiting time and the four columns that the model knows it by, untouched.

    Accepts what the list's publishers and spreadsheets write: `;` or `,` between values, UTF-8 or
    Windows-1252, and a decimal comma.

    Raises:
        MillpondError: a column is missing.
    """
    encoding = _encoding(raw)
    with raw.open(encoding=encoding) as file:
        header = file.readline()
    separator = ";" if ";" in header else ","
    found = [name.strip().strip('"') for name in header.split(separator)]
    missing = [name for name in SELECTED if name not in found]
    if missing:
        raise MillpondError(
            f"the waiting list has no column {', '.join(missing)}",
            hint=f"its first line names {', '.join(found[:8])}, ...",
        )
    table = pd.read_csv(raw, sep=separator, usecols=SELECTED, dtype=str, encoding=encoding)[SELECTED]
    table[TARGET] = pd.to_numeric(table[TARGET].str.replace(",", ".", regex=False))
    return table


def fix_missing_values(selected: pd.DataFrame) -> pd.DataFrame:
    """Rows that have a waiting time; the one institution that forgot its type is a clinic."""
    fixed = selected.dropna(subset=[TARGET]).fillna({"TYPE_ZORGINSTELLING": "Kliniek"}).reset_index(drop=True)
    print(f"{len(fixed):,} of {len(selected):,} rows have a waiting time")
    return fixed


def _encoding(raw: Path) -> str:
    try:
        with raw.open(encoding="utf-8-sig") as file:
            while file.read(1 << 24):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"
