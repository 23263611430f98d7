"""Whether it is office hours, and when they begin again.

Owns the arithmetic of days and time zones. Hours are wall-clock times of the zone: on the days when clocks are changed
the office opens by the clock on the wall. Knows nothing of who is online.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from app.service.settings import MIDNIGHT, OfficeHours, Span, Weekday

_DAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOKS_AHEAD = 400  # days: more than a year of days off in a row means never


def is_open(hours: OfficeHours | None, at: datetime) -> bool:
    """Always, where no hours are set. The end belongs to the closed time."""
    if hours is None:
        return True
    here = at.astimezone(ZoneInfo(hours.timezone))
    now = here.time()
    return any(opens <= now and (now < closes or closes == MIDNIGHT) for opens, closes in _spans(hours, here))


def next_opening(hours: OfficeHours, at: datetime) -> datetime | None:
    """When it next opens after `at`, in the office's time zone; None when it never does."""
    zone = ZoneInfo(hours.timezone)
    here = at.astimezone(zone)
    for ahead in range(_LOOKS_AHEAD):
        day = here + timedelta(days=ahead)  # wall-clock arithmetic: the same time on another day
        for begins, _ in _spans(hours, day):
            opens = datetime.combine(day.date(), begins, zone)
            if opens.astimezone(UTC) > at.astimezone(UTC):
                return opens
    return None


def _spans(hours: OfficeHours, day: datetime) -> tuple[Span, ...]:
    """From and until, of a day in the office's own time, in order."""
    return () if day.date() in hours.closed else hours.days.get(_DAYS[day.weekday()], ())
