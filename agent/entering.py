"""What a person enters, held against what is configured and what is known: mistakes are refused, oddities are asked.

A mistake is what cannot be: a meter that is none, more digits than the display has, a time that has not come. An oddity
may be right and changes what is booked, so it is taken only when the person says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from agent.calibration.typed import number
from agent.client import Site
from agent.clock import SystemClock, date_of
from agent.control import DaemonAwayError
from agent.derive.counter import is_coarser
from agent.form.problems import near
from agent.intakes.settings import EnergySource, IntakeSettings, WaterSource
from agent.intakes.withdrawing import WITHDRAWABLE
from agent.model import Reason, StoredRound
from agent.quantities import QUANTITIES, STATUS
from agent.rules.names import RULES
from agent.settings import Config
from agent.store.book_reader import BookReader, EventRow, LedgerRow

_MS = timedelta(milliseconds=1)
_SLACK_S = 60  # a watch may be ahead of ours
_MOST_DIGITS = 12
_MOST_PLACES = 6
_SHOWN = {"reading": "value", "replacement": "new_initial"}  # what a row of the ledger says a register showed
_FAR = Decimal("0.2")  # of the last known value
_NEAR_ENOUGH = Decimal(10)  # a young counter may double
_SHOWN_LAST = 5  # declarations that a refusal names
_NEXT = 20  # rounds after a replacement that are looked through for one with a value


class Wrong(Exception):
    """A mistake: `code` names the sentence `enter.wrong.CODE`, `arguments` fill it."""

    def __init__(self, code: str, **arguments: object) -> None:
        super().__init__(f"{code} {arguments}")
        self.code = code
        self.arguments = arguments


class NotWithdrawable(Wrong):
    """A number that is no open declaration; `rows` are the last that are."""

    def __init__(self, number: int, rows: Sequence[LedgerRow]) -> None:
        super().__init__("NOT_WITHDRAWABLE", value=number)
        self.rows = rows


class Odd(NamedTuple):
    """Something to be confirmed: `code` names the sentence `enter.odd.CODE`."""

    code: str
    arguments: Mapping[str, object]


class Known(NamedTuple):
    """A stored value of a meter, and when it was shown (UTC ms)."""

    value: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where things are entered: the configuration, the books, and what time it is (UTC ms)."""

    config: Config
    site: Site
    book: BookReader
    now_ms: int

    def meter(self, name: str) -> str:
        """A meter that there is. Raises Wrong."""
        names = [*self.config.meters, *self.config.manual]
        if name in self.config.intakes:
            raise Wrong(
                "INTAKE", value=name, known=" ".join(each.meter for each in _sources(self.config.intakes[name]))
            )
        if name not in names:
            raise Wrong("METER", value=name, known=" ".join(names), **_guess(name, names))
        return name

    def quantity(self, meter: str, name: str, *, counter: bool = False) -> str:
        """A quantity that this meter tells. Raises Wrong."""
        told = [each for each in self.config.quantities(meter) if each != STATUS]
        told = [each for each in told if QUANTITIES[each].counter or not counter]
        if name not in told:
            code = "COUNTER" if counter else "QUANTITY"
            raise Wrong(code, value=name, meter=meter, known=" ".join(told) or "-", **_guess(name, told))
        return name

    def value(self, text: str, meter: str, quantity: str) -> Decimal:
        """A number that the display of the meter can show. Raises Wrong."""
        try:
            value = number(text)
        except ValueError as error:
            raise Wrong("NUMBER", value=text) from error
        if value < 0:
            raise Wrong("NEGATIVE", value=text)
        digits = self.digits(meter, quantity)
        if value >= Decimal(10) ** digits:
            raise Wrong("DIGITS", value=text, meter=meter, limit=digits)
        if -int(value.as_tuple().exponent) > _MOST_PLACES:
            raise Wrong("PLACES", value=text, limit=_MOST_PLACES)
        return value

    def digits(self, meter: str, quantity: str) -> int:
        """Digits before the point, as an intake has them of that counter."""
        for intake in self.config.intakes.values():
            for source in _sources(intake):
                if (source.meter, source.quantity) == (meter, quantity):
                    return source.digits
        return _MOST_DIGITS

    def moment(self, text: str | None) -> int:
        """When something was, UTC ms; now where nothing is said. Raises Wrong."""
        if text is None:
            return self.now_ms
        moment = self.site.moment(text)
        if moment is None or ":" not in text:  # a day alone would be its midnight, hours before the meter was read
            raise Wrong("TIME", value=text)
        at_ms = _ms_of(moment)
        if at_ms > self.now_ms + _SLACK_S * 1000:
            raise Wrong("FUTURE", value=self.site.local(at_ms), now=self.site.local(self.now_ms))
        return at_ms

    def known(self, meter: str, quantity: str, at_ms: int) -> Known | None:
        """The last value of a meter at or before that time, polled, entered, or begun with."""
        try:
            polled = self._polled(meter, quantity, at_ms)
            gone = self.book.withdrawn()
            rows = sorted(row for kind in _SHOWN for row in self.book.ledger(kind, meter) if row.id not in gone)
        except FileNotFoundError:
            return None
        values = [
            Known(Decimal(row.body[_SHOWN[row.kind]]), row.at_ms)
            for row in rows
            if row.at_ms is not None and row.at_ms <= at_ms and row.body["quantity"] == quantity
        ]
        if polled is not None:
            values.append(polled)
        return max(reversed(values), key=lambda each: each.at_ms, default=None)  # of one time the one entered last

    def _polled(self, meter: str, quantity: str, at_ms: int) -> Known | None:
        """The last stored value of a meter; it may have been silent since, above all one that is replaced."""
        for each in self.book.back(meter, at_ms):
            value = _value_of(each, quantity)
            if value is not None and each.at_ms is not None:
                return Known(value, each.at_ms)
        return None

    def next_shown(self, meter: str, quantity: str, at_ms: int) -> Known | None:
        """The first value of a meter that is stored after that time."""
        try:
            before = self.book.at(meter, at_ms)
            first, last = 1 if before is None else before.number + 1, self.book.rounds.committed()
            found = self.book.rounds.rounds(first, last, limit=_NEXT, meters=[meter])
        except FileNotFoundError:
            return None
        for each in found:
            value = _value_of(each, quantity)
            if value is not None and each.at_ms is not None and each.at_ms > at_ms:
                return Known(value, each.at_ms)
        return None

    def oddities(self, meter: str, quantity: str, value: Decimal, at_ms: int) -> list[Odd]:
        """What has to be confirmed of a reading."""
        odd = []
        newest = self.known(meter, quantity, self.now_ms)
        if newest is not None and at_ms < newest.at_ms:
            odd.append(Odd("EARLIER", {"meter": meter, "last": self.site.local(newest.at_ms)}))
        before = self.known(meter, quantity, at_ms)
        if before is None:
            return odd
        words = {
            "value": f"{value:f}", "known": f"{before.value:f}", "at": self.site.local(before.at_ms), "meter": meter,
        }  # fmt: skip
        if before.at_ms == at_ms:
            odd.append(Odd("SAME_TIME", words))
        if QUANTITIES[quantity].counter and value < before.value:
            odd.append(Odd("LOWER", words))
        elif _is_far(value, before.value):
            odd.append(Odd("FAR", words))
        return odd

    def ends_oddly(self, meter: str, quantity: str, old_final: Decimal, at_ms: int) -> list[Odd]:
        """What has to be confirmed of an old register's last number; a display may have fewer places than the line."""
        known = self.known(meter, quantity, at_ms)
        fine = {"EARLIER", "SAME_TIME"} | (
            {"LOWER"} if known is not None and is_coarser(old_final, known.value) else set()
        )
        return [each for each in self.oddities(meter, quantity, old_final, at_ms) if each.code not in fine]

    def begins_oddly(self, meter: str, quantity: str, new_initial: Decimal, at_ms: int) -> list[Odd]:
        """What has to be confirmed of a new register: that the meter went on from there.

        Where the old one was still read after the time that is said, its whole count would be booked as water.
        """
        after = self.next_shown(meter, quantity, at_ms)
        if after is None or (after.value >= new_initial and not _is_far(after.value, new_initial)):
            return []
        words = {"value": new_initial, "known": after.value, "at": self.site.local(after.at_ms), "meter": meter}
        return [Odd("GOES_ON", words)]

    def repeats_oddly(self, meter: str, quantity: str, at_ms: int) -> list[Odd]:
        """What has to be confirmed of a replacement: that it is another one than the last.

        Where nothing was read between two, the second is measured against the first one's new register: entered twice,
        or once more instead of withdrawn, it would book water that never flowed.
        """
        try:
            gone = self.book.withdrawn()
            rows = [row for row in self.book.ledger("replacement", meter) if row.id not in gone]
            for row in reversed(rows):
                if row.at_ms is None or row.body["quantity"] != quantity:
                    continue
                first, last = sorted((row.at_ms, at_ms))
                between = self._polled(meter, quantity, last)
                if between is None or between.at_ms <= first:
                    return [Odd("AGAIN", {"meter": meter, "at": self.site.local(row.at_ms), "id": row.id})]
        except FileNotFoundError:
            return []
        return []

    def reach(self, subject: str, at_ms: int) -> None:
        """Nothing, where what is declared of a meter can be booked from that time on. Raises Wrong."""
        for name, intake in self.config.intakes.items():
            try:
                is_reached = subject not in intake.meters or self.book.reaches_back(name, at_ms)
            except FileNotFoundError:
                return
            if not is_reached:
                raise Wrong("PURGED", intake=name, at=self.site.local(at_ms))

    def withdrawable(self, number: int) -> LedgerRow:
        """A declaration that can be withdrawn, by its number in the ledger. Raises Wrong."""
        try:
            rows, gone = self.book.ledger(), self.book.withdrawn()
        except FileNotFoundError:
            rows, gone = [], {}
        open_rows = {row.id: row for row in rows if row.kind in WITHDRAWABLE and row.id not in gone}
        if number in open_rows:
            return open_rows[number]
        if number in gone:
            raise Wrong("WITHDRAWN", value=number, by=gone[number])
        raise NotWithdrawable(number, list(open_rows.values())[-_SHOWN_LAST:])

    def open_events(self, rule: str, name: str) -> list[EventRow]:
        """What of that rule goes on at an intake, or at a meter. Raises Wrong for what is no rule."""
        if rule not in RULES:
            raise Wrong("RULE", value=rule, first=RULES[0], last=RULES[-1])
        try:
            events = self.book.events(open_only=True)
        except FileNotFoundError:
            return []
        return [each for each in events if each.rule == rule and name in {each.intake, each.subject.partition("/")[2]}]


def _sources(intake: IntakeSettings) -> list[WaterSource | EnergySource]:
    """What an intake's water comes from, and what checks it."""
    return [*intake.water, *intake.check_meters, *([] if intake.energy is None else [intake.energy])]


def _guess(name: str, names: Sequence[str]) -> dict[str, str]:
    found = near(name, names)
    return {"near": found.get("near", "-")}


def _is_far(value: Decimal, known: Decimal) -> bool:
    return abs(value - known) > max(_FAR * known, _NEAR_ENOUGH)


def _value_of(found: StoredRound, quantity: str) -> Decimal | None:
    """What the display showed; what is doubted for another reason than its size was shown all the same."""
    if quantity not in found.layout.quantities or Reason.OUT_OF_RANGE in (found.quality or {}).get(quantity, ()):
        return None
    text = found.texts[found.layout.quantities.index(quantity)]
    return None if text is None else Decimal(text)


def _ms_of(moment: datetime) -> int:
    return (moment - date_of(0)) // _MS


def time_of(site: Site, trust: str) -> int:
    """What time it is for the running agent, else for this machine, UTC ms. Raises Wrong while nobody knows."""
    try:
        told: dict[str, Any] = site.ask("status")["clock"]
        now, is_known = datetime.fromisoformat(told["now"]), bool(told["synced"])
    except DaemonAwayError:
        clock = SystemClock(trust)
        clock.refresh()
        now, is_known = clock.now(), clock.synced
    if not is_known:
        raise Wrong("CLOCK")
    return _ms_of(now)
