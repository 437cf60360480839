"""What the model is told of a loan, and the rows that it is judged by."""

from __future__ import annotations

import pandas as pd
from sklearn.model_selection import train_test_split

TARGET = "bad"
CATEGORIES = ["home", "marital", "records", "job"]
NUMBERS = ["seniority", "time", "age", "expenses", "income", "assets", "debt", "amount", "price"]
FEATURES = [*CATEGORIES, *NUMBERS]


def transform(loans: pd.DataFrame, seed: int) -> dict[str, pd.DataFrame]:
    """Names in lower case, numbers as numbers, the target as 0 and 1; a fifth is kept to judge by.

    Gaps stay gaps: the trees know what to do with them, and so has whoever asks the deployment.
    """
    table = loans.rename(columns=str.lower)
    table[TARGET] = (table.pop("status") == "bad").astype("int64")
    table[NUMBERS] = table[NUMBERS].astype("float64")
    table[CATEGORIES] = table[CATEGORIES].fillna("unknown").astype(str)
    table = table[[*FEATURES, TARGET]]
    learn, judge = train_test_split(table, test_size=0.2, stratify=table[TARGET], random_state=seed)
    print(
        f"{len(learn):,} loans to learn from, {len(judge):,} to judge by, {table[TARGET].mean():.1%} went bad"
    )
    return {"learn": learn.reset_index(drop=True), "judge": judge.reset_index(drop=True)}
