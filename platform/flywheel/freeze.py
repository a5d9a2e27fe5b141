"""Freezes: times in which nothing goes to Production, rollbacks excepted. A span, or hours of a week in a zone."""

from datetime import datetime, time
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAY_MINUTES = 1440


def _hour(value: Any) -> Any:
    # YAML reads an unquoted 22:00 as the number 22 × 60; and 24:00, the end of a day, is the next one's midnight.
    if isinstance(value, int) and 0 <= value <= DAY_MINUTES:
        return time(value // 60 % 24, value % 60)
    return time(0) if value == "24:00" else value


Hour = Annotated[time, BeforeValidator(_hour)]
HOUR = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$|^24:00$"}
# pydantic would tell editors of times with a zone.
Hours = Annotated[tuple[Hour, Hour], WithJsonSchema({"type": "array", "items": HOUR, "minItems": 2, "maxItems": 2})]


class Freeze(BaseModel):
    """One freeze: either a span, or hours of a week."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(description="Why; refusals say it.")
    start: AwareDatetime | None = Field(None, description="Of a span, with its zone.")
    end: AwareDatetime | None = Field(None, description="Of a span, with its zone.")
    days: tuple[Day, ...] = Field((), description="Of the week, in `time_zone`.")
    hours: Hours | None = Field(
        None, description="From and to on those days, over midnight too; the whole day by default."
    )
    time_zone: str = Field("UTC", description="In which days and hours are meant.")

    @model_validator(mode="after")
    def _span_or_week(self) -> Self:
        if not self.reason.strip():
            raise ValueError("a freeze has no reason; write one, refusals say it")
        span = self.start is not None or self.end is not None
        if span == bool(self.days):
            raise ValueError("a freeze has either a span (start and end) or days of the week")
        if span and (self.start is None or self.end is None):
            raise ValueError("a span has a start and an end")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("a freeze starts before it ends")
        if self.hours is not None:
            self._check_hours(*self.hours)
        _zone(self.time_zone)
        return self

    def _check_hours(self, begin: time, end: time) -> None:
        if not self.days:
            raise ValueError("hours belong to days of the week; name them")
        if begin.tzinfo or end.tzinfo:
            raise ValueError("hours are meant in time_zone; write them without a zone")
        if begin == end:
            raise ValueError("hours begin and end at the same time; leave them out for the whole day")

    def holds(self, now: datetime) -> bool:
        """Say whether it holds at `now` (with a zone); its end no longer belongs to it."""
        if self.start is not None and self.end is not None:
            return self.start <= now < self.end
        local = now.astimezone(_zone(self.time_zone))
        today, before = DAYS[local.weekday()], DAYS[(local.weekday() - 1) % 7]
        if self.hours is None:
            return today in self.days
        (begin, end), clock = self.hours, local.time()
        if begin < end:
            return today in self.days and begin <= clock < end
        return (today in self.days and clock >= begin) or (before in self.days and clock < end)

    def told(self) -> str:
        """Return when it holds, as the end of a sentence: "until …" or "on saturday and sunday, …"."""
        if self.end is not None:
            return f"until {self.end:%Y-%m-%d %H:%M %Z}"
        hours = "" if self.hours is None else f" from {self.hours[0]:%H:%M} to {self.hours[1]:%H:%M}"
        return f"on {', '.join(self.days)}{hours} ({self.time_zone})"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as fault:
        raise ValueError(f"time zone '{name}' is not known; write one like Europe/Berlin or UTC") from fault
