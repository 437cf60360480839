"""What serving's documents have in common: parts that know all their words, and say which they refuse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Part(BaseModel):
    """A part of a document: immutable, and without a word that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def refusing(words: Iterable[str], because: str = "is not supported") -> Any:
    """A validator that refuses words by their names, where they mean something to others.

    Args:
        words: what the document's own specification knows, and Millpond does not do.
        because: what is said behind the word.
    """
    refused = tuple(words)

    def check(data: Any) -> Any:
        if isinstance(data, dict):
            for word in refused:
                if word in data:
                    raise ValueError(f"{word} {because}")
        return data

    return model_validator(mode="before")(check)
