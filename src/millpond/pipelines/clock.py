"""Whether a text says when: the five fields of cron, as crontab(5) has them."""

from __future__ import annotations

import re

_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    ("day of week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")


def wrong_cron(text: str) -> str | None:
    """What is wrong with a schedule, or None."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"a schedule has five fields, and {text!r} has {len(fields)}"
    for field, (name, least, most, words) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            match = _PART.fullmatch(part)
            if match is None or match[3] == "0":
                return f"{part} is no {name}"
            ends = [_number(end, least, words) for end in match.groups()[:2] if end is not None]
            if any(end is None or not least <= end <= most for end in ends):
                return f"{part} is no {name}, which is from {least} to {most}"
            if len(ends) == 2 and ends[0] > ends[1]:  # type: ignore[operator]
                return f"{part} of the {name} ends before it begins"
    return None


def _number(text: str, least: int, words: tuple[str, ...]) -> int | None:
    if text.isdigit():
        return int(text)
    return words.index(text.lower()) + least if text.lower() in words else None
