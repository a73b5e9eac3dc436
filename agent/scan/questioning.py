"""Asks a meter what profiles would ask, each question once, until it is known which of them fit.

Strategy: marks first, as they prove something. Reads never reach over registers that the profile does not name. A
profile is dropped as soon as it stands against what came; one that a meter does not answer costs a short wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agent.clock import Clock
from agent.decode import bundles
from agent.fingerprint import reads
from agent.line.asking import Asking, Heard, Whom
from agent.line.ports import WireSettings
from agent.model import Reason
from agent.scan.found import FoundMeter
from agent.scan.identify import Candidate, candidate, has_marks, is_hopeless, ranked
from agent.settings import Profile
from drivers.contract import Ask, BadChecksum, Driver, RawValue, Refusal, Refused, Reply, WireCost

NEVER_BRIDGE = WireCost(request_s=1e-9, register_s=1.0)
"""The cost by which a driver plans reads of neighbours only."""

_LEAST_WAIT_S, _DELAY_FACTOR, _DELAY_MARGIN_S = 0.3, 4.0, 0.1
_NETWORK_WAIT_S = 2.0
_LONGEST_S = 60.0  # a meter that answers nothing but calls is not asked for ever
_MOST_REFUSED = 2

Raws = dict[Any, RawValue | Reason]


class Questioning:
    """What one meter has told so far. `driver` is its protocol's, made with the cost `NEVER_BRIDGE`."""

    def __init__(self, meter: FoundMeter, *, asking: Asking, driver: Driver, wire: WireSettings, clock: Clock) -> None:
        self._meter = meter
        self._asking = asking
        self._driver = driver
        self._whom = Whom(protocol=meter.protocol, address=meter.address, wire=wire)
        self._clock = clock
        self._heard: dict[bytes, Heard] = {}
        self._end_s = clock.monotonic() + _LONGEST_S
        patient_s = max(_LEAST_WAIT_S, _DELAY_FACTOR * meter.delay_s + _DELAY_MARGIN_S)
        self._wait_s = patient_s if asking.is_serial else _NETWORK_WAIT_S

    def candidates(self, profiles: Sequence[Profile]) -> tuple[Candidate, ...]:
        """Those of its protocol's `profiles` that fit, the best first. Raises LineDownError."""
        marked = [profile for profile in profiles if profile.identify and self._has_marks(profile)]
        plain = (profile for profile in profiles if not profile.identify)
        return ranked(self._fitting(marked)) or ranked(self._fitting(plain))

    def _has_marks(self, profile: Profile) -> bool:
        raws: Raws = {}
        for ask in self._plan(profile, reads(profile.identify)):
            raws |= self._read(ask, is_promising=False)
            if any(isinstance(raw, Reason) for raw in raws.values()):
                return False
        return has_marks(profile, raws, address=self._meter.address)

    def _fitting(self, profiles: Iterable[Profile]) -> list[Candidate]:
        found = (candidate(profile, self._raws(profile), address=self._meter.address) for profile in profiles)
        return [each for each in found if each is not None]

    def _raws(self, profile: Profile) -> Raws:
        """What the meter gives for the profile; what was not asked any more counts as refused."""
        wanted = [*bundles(profile.entries), *reads(profile.identify)]
        read: Raws = {}
        refused = 0
        for ask in self._plan(profile, wanted):
            answer = self._read(ask, is_promising=bool(read) or bool(profile.identify))
            refused += any(isinstance(raw, Reason) for raw in answer.values())
            read |= answer
            is_mute = all(isinstance(raw, Reason) for raw in read.values())
            if is_mute or refused >= _MOST_REFUSED or is_hopeless(profile, read):
                break
        return {item: Reason.REFUSED for bundle in wanted for item in bundle} | read

    def _plan(self, profile: Profile, wanted: Sequence[Sequence[Any]]) -> tuple[Ask, ...]:
        return self._driver.plan(self._meter.address, wanted, profile.limits)

    def _read(self, ask: Ask, *, is_promising: bool) -> Raws:
        """The raw values of an ask, or why they are none; narrowed where the profile is worth it."""
        raws = self._asked(ask)
        parts = ask.parts()
        if not is_promising or len(parts) == 1 or Reason.REFUSED not in raws.values():
            return raws
        return {item: raw for part in parts for item, raw in self._read(part, is_promising=True).items()}

    def _asked(self, ask: Ask) -> Raws:
        request = ask.begin(0).request
        heard = self._heard.get(request)
        if heard is None:
            if self._clock.monotonic() > self._end_s:
                return dict.fromkeys(ask.items, Reason.NO_REPLY)
            heard = self._heard[request] = self._ask(ask)
        if heard.reply is not None:
            reply = ask.begin(heard.number).receive(heard.reply.frame)
            assert isinstance(reply, Reply), "the same request has the same reply"
            return dict(zip(ask.items, reply.values, strict=True))
        is_refused = isinstance(heard.error, Refused) and heard.error.kind is not Refusal.ABSENT
        return dict.fromkeys(ask.items, Reason.REFUSED if is_refused else Reason.NO_REPLY)

    def _ask(self, ask: Ask) -> Heard:
        heard = self._asking.ask(ask, self._whom, wait_s=self._wait_s)
        if isinstance(heard.error, BadChecksum):
            heard = self._asking.ask(ask, self._whom, wait_s=self._wait_s)
        if heard.reply is None and not isinstance(heard.error, Refused):
            self._clock.pause(self._wait_s)  # a late answer must not be taken for that of the next question
        return heard
