"""Runs by the clock: each instant of a schedule once, also when the process ends and begins in between.

What was dealt with is kept by instant, and written in one change with the run. Of instants that passed while
nobody looked, the latest is run, if it is not older than a limit; the others are not, as a run that takes
"today" would only do the same once more. `millpond pipeline backfill` does them.
"""

from __future__ import annotations

import datetime
import logging
import zoneinfo

from cronsim import CronSim, CronSimError

from millpond.model.errors import MillpondError
from millpond.pipelines.server.ledger import Asked, Entry, Handed, Ledger

log = logging.getLogger(__name__)
LATE = 3600.0
"""Seconds after which a missed instant is not made up for."""


def instants(cron: str, timezone: str, after: float) -> CronSim:
    """The instants of a schedule after a moment, in its time zone, for ever.

    Where clocks are put forward, what would fall into the gap comes right after it; where they are put back,
    an hour of the day comes once, and what comes every hour or oftener comes in both.

    Args:
        after: seconds since the epoch.

    Raises:
        MillpondError: the expression or the time zone is none.
    """
    try:
        zone = zoneinfo.ZoneInfo(timezone)
        return CronSim(cron, datetime.datetime.fromtimestamp(after, zone))
    except CronSimError as error:
        raise MillpondError(f"the schedule {cron!r} cannot be read: {error}") from None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise MillpondError(f"there is no time zone {timezone}") from None


def following(handed: Handed, now: float) -> datetime.datetime | None:
    """When a pipeline's schedule will start it next."""
    if not handed.schedule:
        return None
    return next(instants(handed.schedule, handed.timezone, now), None)


def latest(handed: Handed, now: float, late: float) -> datetime.datetime | None:
    """The last instant that has come since the schedule was looked at, if it is not too old."""
    assert handed.schedule is not None
    found = None
    for instant in instants(handed.schedule, handed.timezone, max(handed.looked, now - late)):
        if instant.timestamp() > now:
            break
        found = instant
    return found


class Schedules:
    """Starts what the clock says.

    Args:
        late: seconds after which a missed instant is not made up for.
    """

    def __init__(self, ledger: Ledger, late: float = LATE) -> None:
        self._ledger = ledger
        self._late = late

    def look(self, now: float) -> list[Entry]:
        """Write down the runs whose time has come.

        Args:
            now: seconds since the epoch.
        """
        found = []
        for handed in self._ledger.pipelines():
            if not handed.schedule or now <= handed.looked:
                continue
            try:
                instant = latest(handed, now, self._late)
            except MillpondError as error:
                log.warning("%s: %s", handed.name, error.message)
                continue
            if instant is None:
                # Not with every look: there is nothing to remember as long as nothing has come.
                if now - handed.looked > self._late:
                    self._ledger.looked(handed.name, now - self._late)
                continue
            entry, new = self._start(handed, instant)
            if new:
                log.info("%s is started as its schedule says, %s", entry.id, instant.isoformat())
                found.append(entry)
        return found

    def _start(self, handed: Handed, instant: datetime.datetime) -> tuple[Entry, bool]:
        at = instant.astimezone(datetime.UTC).isoformat(timespec="seconds")
        asked = Asked(
            handed.name,
            handed.code,
            {**handed.parameters, **handed.scheduled},
            f"the schedule {handed.schedule} at {instant:%Y-%m-%d %H:%M} {handed.timezone}",
        )
        return self._ledger.start(asked, f"schedule {handed.name} {at}", looked=instant.timestamp())
