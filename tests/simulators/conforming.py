"""What the tests of conformance share: a wire without waiting, to a simulated meter or to anything that answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from agent.profiles import Library
from agent.settings import Profile
from drivers.registry import DRIVERS
from simulators.conformance.runner import cases_for
from simulators.conformance.session import Session
from simulators.conformance.verdict import GATEWAY, TCP_METER, Finding
from simulators.meters.envelope import envelope_of
from simulators.meters.meter import SimulatedMeter

Answer = Callable[[bytes], bytes]


class MemoryWire:
    """Answers at once, and keeps all that was sent."""

    character_s = 0.0
    silence_s = 0.0

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._waiting = b""
        self.sent: list[bytes] = []
        self.renewed = 0

    def send(self, data: bytes, at_s: float) -> float:
        self.sent.append(data)
        self._waiting += self._answer(data)
        return time.monotonic()

    def read(self, until_s: float) -> bytes:
        data, self._waiting = self._waiting, b""
        return data

    def renew(self) -> None:
        self.renewed += 1
        self._waiting = b""
        if isinstance(self._answer, Answering):
            self._answer.forget()

    def close(self) -> None:
        pass


def packaged(name: str) -> Profile:
    return Library(drivers=DRIVERS).load(name)


class Answering:
    """How a simulated meter, mischief included, answers; over TCP a request may come in pieces."""

    def __init__(self, meter: SimulatedMeter, framing: str = "rtu") -> None:
        protocol = meter.profile.protocol
        self._meter, self._is_stream = meter, framing == "tcp"
        self._driver, self._envelope = DRIVERS[protocol](framing=framing), envelope_of(protocol, framing)
        self._rest = b""

    def __call__(self, data: bytes) -> bytes:
        data, self._rest, answers = self._rest + data, b"", b""
        while (size := self._driver.request_size(data)) is not None and 0 < size <= len(data):
            request, data = data[:size], data[size:]
            attempt = self._meter.hear(request, self._driver, 0.0)
            if attempt is not None and attempt.delay_s is not None:
                answers += attempt.frame(self._driver, self._envelope)[0]
        self._rest = data if self._is_stream else b""
        return answers

    def forget(self) -> None:
        """The connection is gone."""
        self._rest = b""


answering = Answering


def profile_of(*items: dict[str, Any], **more: Any) -> Profile:
    """A profile of these items."""
    titles = {"zh": "试", "en": "test"}
    document = {"profile": "made-up", "title": titles, "source": "tests", "protocol": "modbus", "items": list(items)}
    text = yaml.safe_dump(document | more, allow_unicode=True)
    return Library(drivers=DRIVERS, texts={"made-up": text}).load("made-up")


def meter(profile: Profile | str = "tuf2000", address: str = "7", **more: Any) -> SimulatedMeter:
    found = packaged(profile) if isinstance(profile, str) else profile
    return SimulatedMeter("m", profile=found, address=address, **more)


def session(
    far: SimulatedMeter, *, framing: str = "rtu", answer: Answer | None = None, watch_s: float = 0.0, **more: Any
) -> Session:
    """A session with a meter at the other end of a wire without waiting."""
    wire = MemoryWire(answer or answering(far, framing))
    where = TCP_METER if framing == "tcp" else GATEWAY
    return Session(
        wire=wire, framing_name=framing, where=where, profile=far.profile, address=far.address, watch_s=watch_s, **more
    )  # fmt: skip


def findings(tested: Session, *ids: str) -> Mapping[str, Finding]:
    """What the tests whose id begins so find; all of them when none is named."""
    cases = [case for case in cases_for(tested) if not ids or case.id.startswith(ids)]
    return {case.id: case.run(tested) for case in cases}


def clauses(tested: Session) -> Mapping[str, str]:
    """The clause of each test."""
    return {case.id: f"{case.clause.document}, {case.clause.number}" for case in cases_for(tested)}
