"""What one platform wants at one time, without a wire form: kept in the outbox as JSON, encoded when it is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

STATION = 0
"""The channel of what belongs to the station, not to one of its intakes."""


class Kind(StrEnum):
    """The kinds of report."""

    TIMED = "timed"  # 定时报
    HOURLY = "hourly"  # 小时报
    UNIFORM = "uniform"  # 均匀时段信息报
    ADDITIONAL = "additional"  # 加报: a threshold crossed, a fault began or ended
    INTERVAL = "interval"  # 加报 at the interval that the centre has set
    TEST = "test"  # 测试报
    MANUAL = "manual"  # 人工置数


class Sample(NamedTuple):
    """One value of a report: decimal text in the quantity's unit, None where there is none.

    `channel` is the number of the intake at this platform, from 1, or STATION; `at_ms` the value's own time (UTC ms);
    `origin` measured, derived or manual; `source` the id of the round that it comes from.
    """

    channel: int
    quantity: str
    text: str | None
    at_ms: int
    origin: str
    source: str
    quality: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A report for `slot_ms` (UTC ms): its samples, and the flags of meters and faults that hold then.

    `trigger` is what an additional report is sent for: a fault code, or `quantity>limit`; "" for others.
    `step_ms` is the distance between the samples of a uniform report.
    """

    kind: Kind
    slot_ms: int
    samples: tuple[Sample, ...]
    alarms: tuple[str, ...] = ()
    trigger: str = ""
    step_ms: int = 0
    text: str = ""

    def to_text(self) -> str:
        """The content as canonical JSON."""
        plain = {
            "kind": self.kind.value,
            "slot_ms": self.slot_ms,
            "samples": [list(sample) for sample in self.samples],
            "alarms": list(self.alarms),
            "trigger": self.trigger,
            "step_ms": self.step_ms,
            "text": self.text,
        }
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    @staticmethod
    def from_text(text: str) -> Content:
        """What `to_text` wrote. Raises ValueError, KeyError, TypeError for anything else."""
        plain = json.loads(text)
        samples = (Sample(*sample)._replace(quality=tuple(sample[-1])) for sample in plain["samples"])
        return Content(
            kind=Kind(plain["kind"]),
            slot_ms=int(plain["slot_ms"]),
            samples=tuple(samples),
            alarms=tuple(plain["alarms"]),
            trigger=plain["trigger"],
            step_ms=int(plain["step_ms"]),
            text=plain["text"],
        )
