"""The extra `kubernetes`: what it brings is imported late, and missed in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from millpond.model.errors import MillpondError


@contextmanager
def needed() -> Iterator[None]:
    """Around the imports of lightkube and httpx2.

    Raises:
        MillpondError: the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MillpondError(
            f"the target kubernetes needs {error.name}, which is not installed",
            hint="pip install 'millpond[kubernetes]'",
        ) from None
