"""The catalogue of the lake's Iceberg tables: the store's own, or another that the environment names.

The names are PyIceberg's own (``PYICEBERG_CATALOG__DEFAULT__URI`` and those beside it), so that its
``load_catalog()`` finds the same tables. Source: https://py.iceberg.apache.org/configuration/
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from millpond.model.errors import MillpondError

_PREFIX = "PYICEBERG_CATALOG__DEFAULT__"


def named_in(environment: Mapping[str, str]) -> bool:
    """Whether the environment names a catalogue of tables."""
    return bool(environment.get(f"{_PREFIX}URI"))


def open_catalogue(environment: Mapping[str, str] | None = None) -> Any:
    """The catalogue, as PyIceberg's ``Catalog``.

    Raises:
        MillpondError: the environment names none, or it does not answer.
    """
    names = os.environ if environment is None else environment
    if not named_in(names):
        raise MillpondError(
            "no catalogue of tables is known here: PYICEBERG_CATALOG__DEFAULT__URI is not set",
            hint="millpond up, with a flavour that has seaweedfs; or name a catalogue of your own",
        )
    settings = {
        name.removeprefix(_PREFIX).lower().replace("__", ".").replace("_", "-"): value
        for name, value in names.items()
        if name.startswith(_PREFIX)
    }
    # Files are opened with the lake's keys, unless others are named.
    lake = {
        "s3.access-key-id": names.get("AWS_ACCESS_KEY_ID"),
        "s3.secret-access-key": names.get("AWS_SECRET_ACCESS_KEY"),
        "s3.region": names.get("AWS_REGION"),
        "client.access-key-id": names.get("AWS_ACCESS_KEY_ID"),
        "client.secret-access-key": names.get("AWS_SECRET_ACCESS_KEY"),
        "client.region": names.get("AWS_REGION"),
    }
    settings = {**{name: value for name, value in lake.items() if value}, **settings}
    return _opened(tuple(sorted(settings.items())))


@lru_cache(maxsize=32)
def _opened(settings: tuple[tuple[str, str], ...]) -> Any:
    from pyiceberg.catalog import load_catalog

    given = dict(settings)
    try:
        return load_catalog("default", **given)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MillpondError(
            f"the catalogue of tables at {given.get('uri')} does not answer: {reason[:200]}",
            hint="does it run? `millpond status` tells of the platform's",
        ) from None
