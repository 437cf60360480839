"""Options: what a flavour may say about a component, with type, default and help."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

OptionType = Literal["string", "integer", "number", "boolean", "list"]
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
}


class Option(BaseModel):
    """One option of a component."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: OptionType = Field(description="What kind of value it takes")
    default: Any = Field(default=None, description="Its value where the flavour says nothing")
    help: Annotated[str, Field(min_length=1, description="What it does")]
    minimum: float | None = Field(default=None, description="The least number that it takes")
    maximum: float | None = Field(default=None, description="The greatest number that it takes")
    choices: list[Any] | None = Field(default=None, description="The values that it takes, if few")
    required: bool = Field(default=False, description="The flavour must give it")

    @model_validator(mode="after")
    def _default_fits(self) -> Option:
        if self.default is not None:
            self.check(self.default)
        return self

    def check(self, value: Any) -> Any:
        """Return the value if the option takes it.

        Raises:
            ValueError: with a sentence that says what would have been right.
        """
        if not isinstance(value, _PYTHON[self.type]) or (isinstance(value, bool) and self.type != "boolean"):
            raise ValueError(f"must be {_article(self.type)}, not {value!r}")
        if isinstance(value, list):
            if not all(isinstance(item, str | int | float) for item in value):
                raise ValueError("must be a list of plain values")
            for item in value:
                if self.choices is not None and item not in self.choices:
                    raise ValueError(f"may hold {', '.join(map(str, self.choices))}, not {item!r}")
            return value
        number = value if isinstance(value, int | float) else 0
        if self.minimum is not None and number < self.minimum:
            raise ValueError(f"must be at least {self.minimum:g}, not {value!r}")
        if self.maximum is not None and number > self.maximum:
            raise ValueError(f"must be at most {self.maximum:g}, not {value!r}")
        if self.choices is not None and value not in self.choices:
            raise ValueError(f"must be one of {', '.join(map(str, self.choices))}, not {value!r}")
        return value


def as_text(value: Any) -> str:
    """An option's value as it appears in a command or a file: lists joined by commas, booleans in lower case.

    >>> as_text(["raw", "models"]), as_text(True), as_text(None)
    ('raw,models', 'true', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(as_text(item) for item in value)
    return str(value)


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
