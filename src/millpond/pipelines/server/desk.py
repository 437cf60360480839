"""Takes pipelines over and runs in: checks what is asked, whoever asks, before anything is written down."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from millpond.model.errors import MillpondError
from millpond.pipelines.document import Pipeline, read_pipeline
from millpond.pipelines.parameters import as_plain, resolve
from millpond.pipelines.server.executor import Executor
from millpond.pipelines.server.ledger import Asked, Code, Entry, Handed, Ledger
from millpond.pipelines.server.schedules import Schedules, instants
from millpond.pipelines.server.sent import SentCode
from millpond.pipelines.server.triggers import Triggers

log = logging.getLogger(__name__)
Body = TypeVar("Body", bound=BaseModel)
_KEPT = 100
"""How many runs' code is kept, so that they can be gone on with by hand."""


class Origin(BaseModel):
    """The code of a submission: what was sent before, and where it comes from."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(pattern=r"^[0-9a-f]{64}$")
    file: str = Field(default="pipeline.yaml", pattern=r"^[^/\\]{1,200}$")
    version: str | None = Field(default=None, max_length=200)
    dirty: bool | None = None

    def as_code(self) -> Code:
        """The same for the ledger."""
        return Code(self.code, self.file, self.version, self.dirty)


class Submission(Origin):
    """``POST /api/v1/runs``: run this code; hand it over as well, unless `once`."""

    parameters: dict[str, Any] = Field(default_factory=dict)
    experiment: str | None = Field(default=None, max_length=500)
    once: bool = False


class Deployment(Origin):
    """``PUT /api/v1/pipelines/NAME``: know this version from now on."""

    parameters: dict[str, Any] = Field(default_factory=dict)
    schedule: str | None = None


class Start(BaseModel):
    """``POST /api/v1/pipelines/NAME/runs``: run the version that was handed over."""

    model_config = ConfigDict(extra="forbid")

    parameters: dict[str, Any] = Field(default_factory=dict)


def read_body(kind: type[Body], data: Any) -> Body:
    """A body of the API.

    Raises:
        MillpondError: it is not as it should be; says where.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise MillpondError(f"{place}: {first['msg']}") from None


class Desk:
    """What the API and the clock ask for.

    Args:
        every: seconds between two looks at the branches.
    """

    def __init__(
        self,
        ledger: Ledger,
        sent: SentCode,
        executor: Executor,
        schedules: Schedules,
        triggers: Triggers,
        every: float = 5.0,
    ) -> None:
        self.ledger, self.sent, self.executor = ledger, sent, executor
        self.schedules, self.triggers = schedules, triggers
        self._every = every
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=args, name=args[0], daemon=True)
            for args in (("clock", self._clock, 1.0), ("branches", self.triggers.look, every))
        ]

    def begin(self) -> None:
        """Go on with what is open, and look at clock and branches from now on."""
        self._tidy()
        self.executor.begin()
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop; what is open stays open."""
        self._over.set()
        self.executor.end()

    def _tidy(self) -> None:
        """Let go of code that nothing is going to run, beside that of the latest runs."""
        entries = [*self.ledger.open(), *self.ledger.latest(most=_KEPT)]
        codes = [*(entry.asked.code for entry in entries), *(one.code for one in self.ledger.pipelines())]
        self.sent.prune({code.digest for code in codes})

    def _clock(self) -> list[Entry]:
        return self.schedules.look(time.time())

    def _repeat(self, name: str, look: Any, every: float) -> None:
        while not self._over.is_set():
            try:
                if look():
                    self.executor.wake()
            except Exception:  # a lake that is down must not end the looking
                log.exception("the look at the %s failed", name)
            self._over.wait(every)

    def pipeline_of(self, origin: Origin) -> Pipeline:
        """The pipeline in code that was sent.

        Raises:
            MillpondError: it was not sent, or cannot run.
        """
        folder = self.sent.folder(origin.code)
        if not folder.is_dir():
            raise MissingError(
                f"the code {origin.code[:12]} was not sent", hint="PUT /api/v1/code/DIGEST first"
            )
        return read_pipeline(Path(folder) / origin.file)

    def submit(self, asked: Submission, pipeline: Pipeline, by: str) -> Entry:
        """Run a pipeline, and hand it over where that is wanted.

        Raises:
            UsageError: a parameter is wrong.
        """
        values = _given(pipeline, asked.parameters)
        if not asked.once:
            self._hand(Deployment(**asked.model_dump(include=set(Origin.model_fields))), pipeline, by)
        entry, _ = self.ledger.start(
            Asked(pipeline.name, asked.as_code(), values, f"submitted by {by}", asked.experiment)
        )
        self._tidy()
        self.executor.wake()
        return entry

    def deploy(self, asked: Deployment, pipeline: Pipeline, by: str) -> Handed:
        """Hand a pipeline over.

        Raises:
            MillpondError: a parameter or the schedule is wrong.
        """
        return self._hand(asked, pipeline, by)

    def start(self, name: str, given: Mapping[str, Any], by: str) -> Entry:
        """Run the version that was handed over.

        Raises:
            MillpondError: there is none, or a parameter is wrong.
        """
        handed = self.ledger.pipeline(name)
        pipeline = read_pipeline(self.sent.folder(handed.code.digest) / handed.code.file)
        values = _given(pipeline, {**handed.parameters, **given})
        entry, _ = self.ledger.start(Asked(name, handed.code, values, f"started by {by}"))
        self.executor.wake()
        return entry

    def withdraw(self, name: str) -> None:
        """Forget a pipeline with its schedule and triggers.

        Raises:
            MillpondError: there is none.
        """
        self.ledger.withdraw(name)
        self.triggers.forget(name, [])

    def _hand(self, asked: Deployment, pipeline: Pipeline, by: str) -> Handed:
        own = pipeline.schedule
        cron = asked.schedule or (own.cron if own else None)
        timezone = own.timezone if own else "UTC"
        scheduled = dict(own.parameters) if own and cron == own.cron else {}
        if cron:
            next(instants(cron, timezone, time.time()), None)
        # Values that were given with the hand-over come before those of the file.
        defaults = {name: one.default for name, one in pipeline.parameters.items()}
        handed_values = {
            name: value for name, value in asked.parameters.items() if value != _plain(defaults.get(name))
        }
        if handed_values:
            _given(pipeline, {**scheduled, **_filled(pipeline), **handed_values})
        handed = Handed(
            name=pipeline.name,
            code=asked.as_code(),
            summary=pipeline.summary,
            parameters=handed_values,
            schedule=cron,
            timezone=timezone,
            scheduled={name: value for name, value in scheduled.items() if name not in handed_values},
            triggers=[trigger.model_dump() for trigger in pipeline.triggers],
            by=by,
            at=time.time(),
        )
        self.triggers.forget(handed.name, handed.triggers)
        self.ledger.hand(handed)
        self.triggers.look_for(handed)
        return handed


class MissingError(MillpondError):
    """The code was not sent."""


def _given(pipeline: Pipeline, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check values, and give them as JSON has them; which day is "today" is the run's affair."""
    values = as_plain(resolve(pipeline.parameters, given))
    return {name: value if value == "today" else values[name] for name, value in given.items()}


def _filled(pipeline: Pipeline) -> dict[str, Any]:
    return {name: one.default for name, one in pipeline.parameters.items() if one.default is not None}


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
