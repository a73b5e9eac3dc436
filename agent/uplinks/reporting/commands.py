"""Carries out what a centre asks: values and history from the store, settings where allowed. Logs who and what.

A setting is kept in the ledger and holds until the next one: the report interval and the password take effect, the
others are kept and shown when they are asked for. What the answers hold:

    current_values   {"content": Content}        history   {"values": [text or None, …]}
    parameters_*     {"values": {name: text}}    version   {"text"}      last_manual {"text"}
    event_counts     {"counts": 32 numbers}      status    {"alarms"}    clock_*, restart {}    password_set {"new"}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from types import MappingProxyType
from typing import Any, Protocol

from agent.clock import Clock, date_of
from agent.faults import FaultCode, FaultSink
from agent.model import StoredRound
from agent.report.compose import DOUBTFUL, NO_VALUES, Wanted, origin_of
from agent.report.content import Content
from agent.report.in_force import InForce
from agent.report.options import CentreOptions
from agent.uplinks.dialogue import Asked, Forbidden

PARAMETER = "parameter"
"""The ledger's kind of a setting that a centre made; its subject is the uplink."""
EVENTS = 32
_MOST_VALUES = 5000  # of one history answer: 17 days at five minutes
_ANSWER_S = 15.0  # a centre does not wait longer
_BESIDE = 64  # round numbers: an intake has several rounds of one moment, its reading and its closed hour
_HOUR_MS = 3_600_000
_DOUBTED_MS = 300_000  # guideline for withdrawal metering, clock: beyond it a person confirms
_NEAR_MS = 2000  # the same: within it nothing is done
_SENT, _RECEIVED, _ERRORS = 16, 17, 18  # event counters that both protocols number alike
_PARAMETERS_CHANGED, _PASSWORD_CHANGED = 2, 5
_OF_EVENTS: Mapping[str, int] = MappingProxyType(  # those that both protocols number alike
    {
        **dict.fromkeys(("+empty_pipe", "+no_signal", "+meter_fault", "+excitation_fault", "+level_meter_fault"), 4),
        **dict.fromkeys((f"+{code}" for code in NO_VALUES), 4),
        **dict.fromkeys(("+memory_fault", "+STORE-WRITE-FAILED", "+STORE-FULL"), 6),
        **dict.fromkeys(("+mains_lost", "+power_fault"), 7),
        "+battery_low": 8,
        "+door_open": 9,
        "+volume_alarm": 11,
        "+level_alarm": 12,
        "+pressure_alarm": 13,
    }
)
_BEYOND = re.compile(r"(level|pressure)[<>]")
_PASSWORD = re.compile(r"[0-9A-Fa-f]{4}")


class Stored(Protocol):
    """Where rounds are read by number."""

    def rounds(self, first: int, last: int, *, limit: int) -> list[StoredRound]:
        """At most `limit` rounds of first…last."""
        ...


class History(Protocol):
    """Where stored readings and declarations are found."""

    @property
    def rounds(self) -> Stored:
        """The rounds."""
        ...

    def at(self, meter: str, at_ms: int, since_ms: int | None = None) -> StoredRound | None:
        """The newest round of a meter at or before a moment, and not before `since_ms`."""
        ...

    def ledger(self, kind: str | None = None, subject: str | None = None) -> list[Any]:
        """The rows of the ledger."""
        ...


class Orders(Protocol):
    """What of the station itself a centre may move."""

    def set_clock(self, at_ms: int, source: str) -> None:
        """Takes the time (UTC ms) from `source`, whom the configuration trusts."""
        ...

    def ask_restart(self) -> bool:
        """Every line and uplink begins anew, soon; False where that was asked for a short while ago."""
        ...


class Declaring(Protocol):
    """Where settings are kept."""

    def declare(self, kind: str, subject: str, at_ms: int | None, body: Mapping[str, Any], who: str) -> int:
        """Appends a row to the ledger."""
        ...

    def flush(self) -> bool:
        """Commits everything that waits; false when the disk refused."""
        ...


class Commands:
    """What one centre may ask of this station."""

    def __init__(
        self,
        name: str,
        *,
        options: CentreOptions,
        wanted: Iterable[Wanted],
        history: History,
        store: Declaring,
        orders: Orders,
        log: Any,
        faults: FaultSink,
        latest: Callable[[], Content],
        is_acceptable: Callable[[str, str], bool],
        in_force: Callable[[Mapping[str, str]], InForce],
        on_set: Callable[[InForce], None],
        version: str,
        clock: Clock,
        zone: tzinfo,
        meters: Iterable[str] = (),
        defaults: Mapping[str, str] | None = None,
    ) -> None:
        """`meters` are those of the intakes; `defaults` what holds without a setting, by the protocol's names.

        `latest` gives what is known now; `version` is the agent's.

        `is_acceptable` judges a setting by name and value, `in_force` says what all of them change; `on_set` is told
        that when they are known, and when one changes.
        """
        self._name = name
        self._options = options
        self._wanted = tuple(wanted)
        self._history = history
        self._store = store
        self._orders = orders
        self._log = log
        self._faults = faults
        self._latest = latest
        self._is_acceptable = is_acceptable
        self._in_force = in_force
        self._on_set = on_set
        self._stored_ms: Mapping[tuple[int, str], int] = {}
        self._version = version
        self._clock = clock
        self._zone = zone
        self._meters = frozenset(meters)
        self._defaults = dict(defaults or {})
        self._counts = [0] * EVENTS
        self._changed: dict[str, str] | None = None
        self._does: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any] | None]] = {
            "current_values": lambda _: {"content": self._latest()},
            "history": self._stored,
            "last_manual": self._last_manual,
            "parameters_read": self._read,
            "parameters_set": self._set,
            "clock_read": lambda _: {},
            "clock_set": self._set_clock,
            "password_set": self._set_password,
            "version": lambda _: {"text": self._version},
            "event_counts": lambda _: {"counts": [min(each, 0xFFFF) for each in self._counts]},
            "status": lambda _: {"alarms": self._latest().alarms},
            "restart": lambda _: {} if self._orders.ask_restart() else None,
        }

    def count(self, event: str) -> None:
        """A message was `sent` or `received`, or a `send_error` happened."""
        self._counts[{"sent": _SENT, "received": _RECEIVED, "send_error": _ERRORS}[event] - 1] += 1

    def happened(self, reason: str) -> None:
        """A flag, limit or fault came or went, as composing names it; the event counters count those that came."""
        beyond = _BEYOND.match(reason)
        number = _OF_EVENTS.get(f"+{beyond[1]}_alarm" if beyond else reason)
        if number is not None:
            self._counts[number - 1] += 1

    def carry_out(self, asked: Asked) -> dict[str, Any] | None:
        """The result, None where it is not carried out."""
        does = self._does.get(asked.name)
        result = None if does is None else does(asked.arguments)
        shown = {} if asked.name == "password_set" else dict(asked.arguments)
        event = "command.refused" if result is None else "command.carried_out"
        self._log.info(event, verb=asked.name, arguments=shown, who=self._name)
        return result

    def forbidden(self, found: Forbidden) -> None:
        """An order that is never carried out, or not allowed by this uplink's settings."""
        self._log.warning(
            "command.forbidden", function=found.function, arguments=dict(found.arguments), never=found.is_never
        )
        self._faults.raised(
            FaultCode.COMMAND_FORBIDDEN,
            f"uplink/{self._name}",
            function=found.function,
            never="yes" if found.is_never else "no",
        )

    def parameters(self) -> dict[str, str]:
        """What centres have set, the last of each name."""
        if self._changed is None:
            self._changed = {}
            for row in self._history.ledger(PARAMETER, self._name):
                self._changed.update(row.body["values"])
            self._hold(self._changed)
        return dict(self._changed)

    def _hold(self, values: Mapping[str, str]) -> None:
        in_force = self._in_force(values)
        self._stored_ms = in_force.stored_ms
        self._on_set(in_force)

    # --- what each does

    def _stored(self, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """Values at equal steps; a reading counts for a moment within one of its periods, else there is none."""
        key = (arguments["channel"], arguments["quantity"])
        wanted = next((each for each in self._wanted if (each.channel, each.quantity) == key), None)
        from_ms, to_ms = arguments["from_ms"], arguments["to_ms"]
        step_ms = arguments["step_ms"] or self._step_ms(key, is_exact=wanted is not None and wanted.is_exact)
        if wanted is None or to_ms < from_ms or (to_ms - from_ms) // step_ms >= _MOST_VALUES:
            return None
        values: list[str | None] = []
        until_s = self._clock.monotonic() + _ANSWER_S
        for at_ms in range(from_ms, to_ms + 1, step_ms):
            if self._clock.monotonic() > until_s:
                return None  # cut short it would say that there was nothing
            values.append(self._value(wanted, at_ms))
        return {"values": values}

    def _step_ms(self, key: tuple[int, str], *, is_exact: bool) -> int:
        """How far apart the values of a stored series are: as the centre has set, else as configured."""
        return _HOUR_MS if is_exact else self._stored_ms.get(key, self._options.stored_ms)

    def _value(self, wanted: Wanted, at_ms: int) -> str | None:
        """The good value that held at a moment; a volume made from electricity only where this uplink sends such."""
        least_ms = at_ms if wanted.is_exact else at_ms - wanted.period_ms
        found = self._history.at(wanted.meter, at_ms, least_ms)
        if found is None:
            return None
        beside = self._history.rounds.rounds(max(1, found.number - _BESIDE), found.number, limit=_BESIDE + 1)
        best: tuple[int, int, str] | None = None
        for each in beside:
            if each.layout.meter != wanted.meter or each.at_ms is None or not least_ms <= each.at_ms <= at_ms:
                continue
            text = self._good(each, wanted.quantity)
            if text is not None and (best is None or (each.at_ms, each.number) > best[:2]):
                best = (each.at_ms, each.number, text)
        return None if best is None else best[2]

    def _good(self, found: StoredRound, quantity: str) -> str | None:
        quantities = found.layout.quantities
        text = found.texts[quantities.index(quantity)] if quantity in quantities else None
        if text is None or not DOUBTFUL.issuperset((found.quality or {}).get(quantity, ())):
            return None
        return None if origin_of(found) == "derived" and not self._options.sends_derived else text

    def _last_manual(self, _: Mapping[str, Any]) -> dict[str, Any] | None:
        rows = [row for row in self._history.ledger("reading") if row.subject in self._meters]
        if not rows:
            return {"text": ""}
        row = rows[-1]
        at = "" if row.at_ms is None else f"{date_of(row.at_ms).astimezone(self._zone):%y%m%d%H%M} "
        return {"text": f"{at}{row.subject} {row.body.get('value', '')}".strip()}

    def _read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        known = self._defaults | self.parameters()
        return {"values": {name: known[name] for name in arguments["names"] if name in known}}

    def _set(self, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """All of an order's settings, or none."""
        values = {str(name): str(value) for name, value in arguments["values"].items()}
        if not values or not all(self._is_acceptable(name, value) for name, value in values.items()):
            return None
        self._keep(values)
        self._counts[_PARAMETERS_CHANGED - 1] += 1
        return {"values": values}

    def _keep(self, values: Mapping[str, str]) -> None:
        """Holds from now on. On disk before it is confirmed, since a centre goes on by what was; what holds already is
        not entered again, since nothing of the ledger is ever deleted.

        A disk that refuses gets it with what else waits: until then a kill or a power cut loses it.
        """
        before = self.parameters()
        known = {**before, **values}
        if known != before:
            self._store.declare(PARAMETER, self._name, None, {"values": dict(values)}, f"uplink/{self._name}")
            self._store.flush()
        self._changed = known
        self._hold(known)

    def _set_clock(self, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """A centre is doubted like every other source: far from a clock that was set, a person has to say who is right.

        Within what a stamp of whole seconds loses on its way nothing moves: each step begins a new era of dates.
        """
        if not self._options.trusts_clock:
            return None
        at_ms, place = int(arguments["at_ms"]), f"uplink/{self._name}"
        now_ms = round(self._clock.now().timestamp() * 1000)
        apart_ms = abs(at_ms - now_ms)
        if self._clock.synced and apart_ms > _DOUBTED_MS:
            told = {"centre_at": _second(at_ms), "own_at": _second(now_ms)}
            self._faults.raised(FaultCode.CLOCK_DISPUTED, place, **told, source=self._clock.source)
            return None
        self._faults.cleared(FaultCode.CLOCK_DISPUTED, place)
        if not self._clock.synced or apart_ms > _NEAR_MS:
            self._orders.set_clock(at_ms, self._name)
        return {}

    def _set_password(self, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        new = str(arguments["new"])
        if _PASSWORD.fullmatch(new) is None:
            return None
        self._counts[_PASSWORD_CHANGED - 1] += 1
        self._keep({"password": new})
        return {"new": new}


def _second(at_ms: int) -> str:
    return date_of(at_ms).isoformat(timespec="seconds")
