"""A pipeline's parameters: their types, and the values that a run gives them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from millpond.model.document import scalar
from millpond.model.errors import UsageError, did_you_mean

ParameterType = Literal["string", "integer", "number", "boolean", "date", "list"]
Value = str | int | float | bool | datetime.date | list[Any]
_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class Parameter(BaseModel):
    """One parameter; without a default it must be given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: ParameterType = Field(default="string", description="What kind of value it takes")
    default: Any = Field(default=None, description="Its value when none is given; else it must be")
    help: str = Field(default="", description="What it does")
    minimum: Any = Field(default=None, description="The least value that it takes")
    maximum: Any = Field(default=None, description="The greatest value that it takes")
    choices: list[Any] | None = Field(default=None, description="The values that it takes, if few")

    @model_validator(mode="after")
    def _default_fits(self) -> Parameter:
        if self.default is not None:
            self.value(self.default, datetime.date(2000, 1, 1))
        return self

    def value(self, given: Any, today: datetime.date) -> Value:
        """The value that a text, or a plain value of YAML or JSON, stands for.

        Args:
            given: what the user wrote.
            today: what the word ``today`` means for a date.

        Raises:
            ValueError: with a sentence that says what would have been right.
        """
        found = self._convert(given, today)
        least = None if self.minimum is None else self._convert(self.minimum, today)
        most = None if self.maximum is None else self._convert(self.maximum, today)
        if least is not None and found < least:  # type: ignore[operator]
            raise ValueError(f"must be at least {least}, not {found}")
        if most is not None and found > most:  # type: ignore[operator]
            raise ValueError(f"must be at most {most}, not {found}")
        if self.choices is not None:
            choices = [self._convert(choice, today) for choice in self.choices]
            if found not in choices:
                raise ValueError(f"must be one of {', '.join(map(str, choices))}, not {found}")
        return found

    def _convert(self, given: Any, today: datetime.date) -> Value:
        text = str(given).strip()
        match self.type:
            case "string":
                if isinstance(given, str | int | float) and not isinstance(given, bool):
                    return str(given)
            case "boolean":
                if isinstance(given, bool):
                    return given
                if text.lower() in _WORDS:
                    return _WORDS[text.lower()]
            case "date":
                if text == "today":
                    return today
                try:
                    return datetime.date.fromisoformat(text)
                except ValueError:
                    raise ValueError(f"must be a date such as 2026-11-22, or today, not {text}") from None
            case "list":
                if isinstance(given, list):
                    return given
                if isinstance(given, str):
                    return [scalar(item.strip()) for item in given.split(",") if item.strip()]
            case "integer" if not isinstance(given, bool):
                try:
                    return int(text)
                except ValueError:
                    pass
            case "number" if not isinstance(given, bool):
                try:
                    return float(text)
                except ValueError:
                    pass
        article = "an" if self.type == "integer" else "a"
        raise ValueError(f"must be {article} {self.type}, not {given!r}")


def resolve(
    parameters: Mapping[str, Parameter], given: Mapping[str, Any], today: datetime.date | None = None
) -> dict[str, Value]:
    """The values of all parameters of a run.

    Args:
        parameters: as the pipeline declares them.
        given: as the user wrote them.
        today: the day that ``today`` means; UTC's by default.

    Raises:
        UsageError: one is unknown, missing, or has a value that it does not take.
    """
    day = today or datetime.datetime.now(datetime.UTC).date()
    for name in given:
        if name not in parameters:
            raise UsageError(f"the pipeline has no parameter {name}", hint=did_you_mean(name, parameters))
    values: dict[str, Value] = {}
    for name, parameter in parameters.items():
        wanted = given.get(name, parameter.default)
        if wanted is None:
            hint = f"add -p {name}=VALUE" + (f": {parameter.help}" if parameter.help else "")
            raise UsageError(f"the parameter {name} has no value", hint=hint)
        try:
            values[name] = parameter.value(wanted, day)
        except ValueError as error:
            raise UsageError(f"the parameter {name} {error}", hint=parameter.help or None) from None
    return values


def as_plain(values: Mapping[str, Value]) -> dict[str, Any]:
    """The values as JSON has them: dates as text."""
    return {
        name: value.isoformat() if isinstance(value, datetime.date) else value
        for name, value in values.items()
    }
