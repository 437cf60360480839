"""What a client can do wrong, and what can go wrong for it: each builds its own sentence.

Every error knows its HTTP status and never carries a traceback; the log has that, beside the
request's id.
"""

# Named as the sentences they make, not "...Error": every one of them is a RequestError.
# ruff: noqa: N818

from __future__ import annotations

from collections.abc import Iterable
from reprlib import Repr

from millpond.model.errors import MillpondError, did_you_mean

_shown = Repr()
"""Shows the beginning of a value, however large or deep that is."""
_shown.maxlevel = 4
_shown.maxstring = _shown.maxother = _shown.maxlong = 80


class RequestError(MillpondError):
    """A request that is answered with `status` and one sentence."""

    status = 400

    @property
    def sentence(self) -> str:
        """The message with its hint, as the ``error`` of the answer."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InvalidRequest(RequestError):
    """The body cannot be read as the protocol says."""


class InvalidJSON(RequestError):
    """The body is not JSON (NaN and Infinity are not part of JSON: send null or a string)."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"the body is not valid JSON: {reason}")


class InvalidValue(RequestError):
    """A value is not of the type that the model's signature gives its column."""

    def __init__(self, place: str, expected: str, value: object) -> None:
        shown = _shown.repr(value)
        if len(shown) > 60:
            shown = f"{shown[:57]}..."
        super().__init__(f"{place}: expected {expected}, got {shown}")


class InvalidShape(RequestError):
    """The shape and the data do not fit, or the model wants another shape."""


class MissingColumns(RequestError):
    """The model needs columns that the request has not."""

    def __init__(self, missing: Iterable[str], given: Iterable[str]) -> None:
        names = list(missing)
        found = ", ".join(given) or "nothing"
        some = f"column {names[0]} is" if len(names) == 1 else f"columns {', '.join(names)} are"
        super().__init__(f"{some} missing from the request, which has {found}")


class UnknownColumn(RequestError):
    """The request has a column that the model does not know."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown column {name}", hint=did_you_mean(name, known))


class EmptyBatch(RequestError):
    """There is nothing to predict."""

    def __init__(self) -> None:
        super().__init__("the request has no rows")


class UnknownPath(RequestError):
    """No such path."""

    status = 404

    def __init__(self, path: str) -> None:
        super().__init__(f"no such path: {path[:200]}", hint="see /openapi.json")


class UnknownModel(RequestError):
    """This process serves another model."""

    status = 404

    def __init__(self, name: str, served: str) -> None:
        super().__init__(f"model {name[:200]} is not served here", hint=f"this server has {served}")


class UnknownVersion(RequestError):
    """This process serves another version."""

    status = 404

    def __init__(self, name: str, version: str, served: str) -> None:
        super().__init__(f"model {name} has no version {version[:200]} here", hint=f"it is version {served}")


class WrongMethod(RequestError):
    """The path exists, for another method."""

    status = 405

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"{method} is not allowed here", hint=f"use {allowed}")
        self.allowed = allowed


class TooSlow(RequestError):
    """The body did not arrive in time."""

    status = 408

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the body did not arrive within {seconds:g} seconds")


class Conflict(RequestError):
    """The server is not in a state in which it could do that."""

    status = 409


class TooLarge(RequestError):
    """The body is larger than the server takes."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes", hint="send fewer rows at once")


class Unsupported(RequestError):
    """The protocol has it, this server has not."""

    status = 415


class ModelFailed(RequestError):
    """The model itself raised: not the client's mistake as far as the server can tell.

    It can tell where the error comes from the framework's own check of its input, such as scikit-learn's for
    missing values: that is a 400.
    """

    status = 500

    def __init__(self, model: str, error: BaseException) -> None:
        checked = _checked_input(error)
        super().__init__(f"model {model} {'refuses its input' if checked else 'failed'}: {one_line(error)}")
        if checked:
            self.status = 400


class NonsenseRows(RequestError):
    """The model gave another number of rows than it was asked for."""

    status = 500

    def __init__(self, model: str, asked: int, output: str, given: int | str) -> None:
        super().__init__(f"model {model} was asked for {asked} rows and gave {given} in {output}")


class Overdue(RequestError):
    """The prediction took longer than a request may take."""

    status = 504

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the model did not answer within {seconds:g} seconds")


class Hung(RequestError):
    """The model is at one prediction for longer than any request may take: only a restart helps."""

    status = 503

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"model {name} is at one prediction for more than {seconds:g} seconds")


class ExtensionFailed(RequestError):
    """The model's transformer or explainer raised, or gave what cannot be gone on with."""

    status = 500

    def __init__(self, method: str, reason: str) -> None:
        super().__init__(f"{method} failed: {reason}")


class NoExplainer(RequestError):
    """Nothing here explains the model's predictions."""

    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"model {name} has no explainer")


class NotReady(RequestError):
    """The model is still loading."""

    status = 503

    def __init__(self, name: str) -> None:
        super().__init__(f"model {name} is not ready yet", hint="ask its ready path")


class Busy(RequestError):
    """More requests wait than the server keeps."""

    status = 503

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} requests wait already", hint="try again in a moment")


def _checked_input(error: BaseException) -> bool:
    """Whether the error was raised where a framework checks its input."""
    at = error.__traceback__
    if at is None or not isinstance(error, ValueError):
        return False
    while at.tb_next is not None:
        at = at.tb_next
    return at.tb_frame.f_globals.get("__name__") == "sklearn.utils.validation"


def one_line(error: BaseException, limit: int = 300) -> str:
    """An exception as its name and the first line of what it says."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
