"""Prints what the waiting-times example's modules make; `probe` runs it beside them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import prepare
import training
import waiting_list

DATE, SEED = dt.date(2022, 9, 9), 7
EXAMPLE = Path(prepare.__file__).parent


def digest(date: dt.date, seed: int) -> str:
    path = waiting_list.write(waiting_list.generate(date, seed), Path("again.csv"))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def as_list(raw: Path) -> dict[str, Any]:
    """The file as somebody sees it who knows nothing of its generator."""
    read = pd.read_csv(raw, sep=";", dtype=str)
    days = pd.to_numeric(read["WACHTTIJD"])
    unnamed = read[read["TYPE_ZORGINSTELLING"].isna()]
    return {
        "header": raw.open(encoding="utf-8").readline().rstrip("\n"),
        "shape": list(read.shape),
        "present": read.notna().sum().to_dict(),
        "descriptions": read["OMS_WACHTTIJD"].nunique(),
        "over_500": int((days > 500).sum()),
        "least": float(days.min()),
        "ids": [read["ID"].iloc[0], read["ID"].iloc[-1], bool(read["ID"].is_unique)],
        "types": sorted(read["TYPE_WACHTTIJD"].unique()),
        "institutions": sorted(read["TYPE_ZORGINSTELLING"].dropna().unique()),
        "regions": sorted(read["ROAZ_REGIO"].unique()),
        "forgetful": unnamed["NAAM_INSTELLING"].tolist(),
        "snapshots": sorted(read["PEILDATUM"].unique()),
        "reported": [read["DATUM_ZORGBEELD"].min(), read["DATUM_ZORGBEELD"].max()],
        "months_agree": bool((read["JAARMAAND"] == read["DATUM_ZORGBEELD"].str[:6]).all()),
    }


def of_ones_own() -> dict[str, Any]:
    """A list as a spreadsheet writes it: commas, Windows-1252, a column too many, a decimal comma."""
    path = Path("own.csv")
    header = 'WACHTTIJD,"TYPE_WACHTTIJD",SPECIALISME,ROAZ_REGIO,TYPE_ZORGINSTELLING,Oordeel'
    rows = ['"12,5",Behandeling,KNO (302),Oost,,réd', ",Behandeling,KNO (302),Oost,Ziekenhuis,x"]
    path.write_text("\n".join((header, *rows)) + "\n", encoding="cp1252")
    selected = prepare.select_features(path)
    fixed = prepare.fix_missing_values(selected)
    path.write_text("WACHTTIJD;SPECIALISME\n1;x\n", encoding="utf-8")
    try:
        prepare.select_features(path)
    except Exception as error:
        refused = str(error)
    return {
        "columns": list(selected.columns),
        "rows": fixed.astype(object).to_numpy().tolist(),
        "refused": refused,
    }


def learnt(raw: Path) -> dict[str, Any]:
    prepared = prepare.fix_missing_values(prepare.select_features(raw))
    learn, judge = training.split(prepared, SEED)
    model, metrics = training.fit(learn, judge, SEED, 8, 20)
    predicted = {}
    for name in ("testdata", "request", "unseen-region"):
        body = json.loads((EXAMPLE / f"{name}.json").read_text(encoding="utf-8"))
        row = pd.DataFrame({column["name"]: column["data"] for column in body["inputs"]})
        predicted[name] = float(model.predict(row)[0])
    encoded = model.named_steps["encode"].transform(learn[training.FEATURES])
    return {
        "rows": [len(prepared), len(learn), len(judge)],
        "missing": int(prepared.isna().sum().sum()),
        "overlap": len(learn.index.intersection(judge.index)),
        "same_split": bool(training.split(prepared, SEED)[1].index.equals(judge.index)),
        "metrics": metrics,
        "encoded": encoded.shape[1],
        "values": int(sum(learn[name].nunique() for name in training.FEATURES)),
        "predicted": predicted,
    }


if __name__ == "__main__":
    raw = waiting_list.write(waiting_list.generate(DATE, SEED), Path("wachttijden.csv"))
    found = {
        "list": as_list(raw),
        "digests": {
            "first": hashlib.sha256(raw.read_bytes()).hexdigest(),
            "again": digest(DATE, SEED),
            "another_date": digest(dt.date(2024, 3, 1), SEED),
            "another_seed": digest(DATE, 8),
        },
        "snapshots_of_another_date": [f"{day}" for day in waiting_list.snapshot_days(dt.date(2024, 3, 1))],
        "own": of_ones_own(),
        "learnt": learnt(raw),
    }
    json.dump(found, sys.stdout)
