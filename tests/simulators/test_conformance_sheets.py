"""DL/T 645 and CJ/T 188 meters under test: good ones pass, each mistake is named by its rule, nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.messages import LANGUAGES, Messages
from agent.profiles import Library
from drivers.registry import DRIVERS
from simulators import cli
from simulators.conformance.report import clause_text
from simulators.conformance.runner import cases_for, run
from simulators.conformance.session import Session
from simulators.conformance.verdict import Finding, Verdict
from simulators.meters.bus import SimulatedLine
from simulators.meters.line_settings import SimulatedLineSettings
from tests.simulators.conforming import Answer, Answering, MemoryWire, findings, meter, session

ADDRESSES = {"dlt645": "000000000012", "cjt188": "33150510414501"}
READS = {"dlt645": {0x11, 0x12, 0x13, 0x01, 0x02}, "cjt188": {0x01, 0x03}}
ELECTRIC, WATER = "dlt645-2007-single", "cjt188-cold-2004"


def names() -> list[str]:
    library = Library(drivers=DRIVERS)
    return [name for name in library.names() if library.load(name).protocol in ADDRESSES]


def made(name: str, **more: Any) -> Any:
    protocol = Library(drivers=DRIVERS).load(name).protocol
    return meter(name, address=ADDRESSES[protocol], **more)


def bad(found: Any) -> dict[str, str]:
    return {name: each.reason for name, each in found.items() if each.verdict is Verdict.FAILED}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wire without waiting needs no pause either."""
    monkeypatch.setattr("simulators.conformance.session._POLL_S", 0.0)


@pytest.mark.parametrize("name", names())
def test_no_packaged_profile_fails_its_own_simulated_meter(name: str) -> None:
    outcomes = run(session(made(name)))
    assert [each.case.id for each in outcomes if each.finding.verdict is Verdict.FAILED] == []
    passed = {each.case.id for each in outcomes if each.finding.verdict is Verdict.PASSED}
    assert {"frame.answers", "frame.checksum", "silence.damaged", "silence.broadcast", "addressing.others"} <= passed


@pytest.mark.parametrize("name", [ELECTRIC, WATER])
@pytest.mark.parametrize(
    ("kind", "case"),
    [
        ("wrong_crc", "frame.checksum"),
        ("wrong_address", "frame.address"),
        ("cut", "frame.whole"),
        ("glued", "frame.alone"),
        ("noise", "frame.alone"),
        ("exception", "frame.answers"),
    ],
)
def test_a_wrong_frame_is_found_by_its_rule(name: str, kind: str, case: str) -> None:
    tested = session(made(name, mischief=[{"kind": kind}]))
    assert case in bad(findings(tested, "frame."))
    clause = next(each.clause for each in cases_for(tested) if each.id == case)
    for lang in LANGUAGES:
        said = clause_text(Messages(lang), clause, tested.profile)
        assert ("DL/T 645" if name == ELECTRIC else "CJ/T 188") in said


def test_an_answer_to_another_question_is_found() -> None:
    for name in (ELECTRIC, WATER):
        found = bad(findings(session(made(name, mischief=[{"kind": "wrong_function"}])), "frame."))
        assert {"frame.control", "frame.identifier"} & set(found), name


def altered(far: Any, change: Callable[[bytes, bytes], bytes]) -> Answer:
    right = Answering(far)
    return lambda data: change(data, right(data))


def deaf_to_damage(session_: Session, right: Answer) -> Answer:
    """A meter that answers whatever is sent after its first good answer."""
    kept: list[bytes] = []

    def answer(data: bytes) -> bytes:
        reply = right(data)
        kept.extend([reply] if reply and not kept else [])
        return reply or (kept[0] if kept else b"")

    return answer


@pytest.mark.parametrize("name", [ELECTRIC, WATER])
def test_an_answer_where_silence_is_due_is_found(name: str) -> None:
    far = made(name)
    tested = session(far)
    assert isinstance(tested.wire, MemoryWire)
    tested.wire._answer = deaf_to_damage(tested, Answering(far))
    assert set(bad(findings(tested, "silence", "addressing.others"))) == {
        "silence.broadcast", "silence.damaged", "addressing.others",
    }  # fmt: skip


@pytest.mark.parametrize("name", [ELECTRIC, WATER])
def test_a_meter_that_half_a_request_kills_is_found(name: str) -> None:
    far = made(name)
    dead: list[int] = []

    def change(request: bytes, reply: bytes) -> bytes:
        dead.extend([1] if len(request) < 11 else [])
        return b"" if dead else reply

    found: dict[str, Finding] = dict(findings(session(far, answer=altered(far, change)), "recovery.truncated"))
    assert bad(found) == {"recovery.truncated": "dead-after"}


def test_no_answer_for_data_that_do_not_exist_is_no_failure() -> None:
    far = made(ELECTRIC)
    silent = altered(far, lambda _, reply: b"" if b"\x68\xd1" in reply else reply)
    found = findings(session(far, answer=silent), "exception")["exception.identifier"]
    assert (found.verdict, found.reason) == (Verdict.DIFFERS, "error-silent")


def controls(protocol: str, data: bytes) -> set[int]:
    """The control codes behind every start byte, as far as they are there."""
    found = set()
    for at in range(len(data)):
        if protocol == "dlt645" and data[at] == 0x68 and data[at + 7 : at + 8] == b"\x68":
            found.update(data[at + 8 : at + 9])
    if protocol == "cjt188" and (at := data.find(0x68)) >= 0:
        found.update(data[at + 9 : at + 10])
    return found


@pytest.mark.parametrize("name", names())
def test_only_reads_are_ever_sent(name: str) -> None:
    far = made(name)
    tested = session(far)
    run(tested)
    assert isinstance(tested.wire, MemoryWire)
    protocol = far.profile.protocol
    sent = set().union(*(controls(protocol, data) for data in tested.wire.sent))
    assert sent
    assert sent <= READS[protocol]


@pytest.mark.parametrize("name", [ELECTRIC, WATER])
def test_a_write_cannot_be_sent_even_by_mistake(name: str) -> None:
    tested = session(made(name))
    request = tested.probe.begin(1).request
    at = request.index(0x68) + (8 if name == ELECTRIC else 9)
    for control in (0x04, 0x08, 0x14, 0x15, 0x16, 0x1A, 0x1C, 0x2A):
        body = request[request.index(0x68) : at] + bytes([control]) + request[at + 1 : -2]
        frame = body + bytes([sum(body) & 0xFF, 0x16])
        for data in (frame, b"\xfe\xfe" + frame, frame[:-1], frame[:-2] + b"\0\x16"):
            with pytest.raises(PermissionError):
                tested.send(data)
    assert isinstance(tested.wire, MemoryWire)
    assert tested.wire.sent == []


@pytest.mark.parametrize("name", [ELECTRIC, WATER])
def test_a_good_meter_on_a_paced_port_passes(name: str, tmp_path: Path) -> None:
    far = made(name)
    settings = SimulatedLineSettings(name="bus", pty=tmp_path / "bus", baud=9600, parity="even")
    words = [
        "conformance",
        "meter",
        str(tmp_path / "bus"),
        "--profile",
        name,
        "--address",
        far.address,
        "--baud",
        "9600",
    ]
    with SimulatedLine(settings, [far]):
        assert cli.main([*words, "--watch", "0", "--strict"]) == 0
