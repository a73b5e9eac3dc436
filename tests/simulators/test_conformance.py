"""The tests of meters: a good meter passes them, each mistake is found by the test that names its clause."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from agent.profiles import Library
from drivers.octets import crc16
from drivers.registry import DRIVERS
from simulators.conformance import session as sessions
from simulators.conformance.runner import cases_for, run
from simulators.conformance.session import Session
from simulators.conformance.verdict import Finding, Verdict
from tests.simulators.conforming import Answer, MemoryWire, answering, clauses, findings, meter, profile_of, session

SERIAL, APPLICATION = "Modbus over serial line V1.02", "Modbus application protocol V1.1b3"
TCP = "Modbus messaging on TCP/IP V1.0b"
WRITES = {5, 6, 8, 15, 16, 20, 21, 22, 23, 40, 43}  # and everything else that is neither a read nor the unassigned 99
FLOWING = {"flow_rate": "12.5", "volume_forward": "28785.5"}


def bad(found: dict[str, Finding] | Any) -> dict[str, str]:
    return {name: each.reason for name, each in found.items() if each.verdict is Verdict.FAILED}


def modbus_profiles() -> list[str]:
    library = Library(drivers=DRIVERS)
    return [name for name in library.names() if library.load(name).protocol == "modbus"]


# --- a good meter


@pytest.mark.parametrize("framing", ["rtu", "tcp"])
@pytest.mark.parametrize("name", modbus_profiles())
def test_no_packaged_profile_fails_its_own_simulated_meter(name: str, framing: str) -> None:
    far = meter(name, address="7")
    assert bad(findings(session(far, framing=framing))) == {}


def test_a_meter_whose_gaps_hold_zeros_passes_too() -> None:
    tested = session(meter(values=FLOWING, gaps=True))
    assert bad(findings(tested)) == {}


def test_a_meter_that_allows_even_reads_only_is_asked_for_even_ones() -> None:
    total = {"quantity": "volume_forward", "table": "holding", "register": 3, "type": "u32", "scale": 0.01}
    around = {"holding": dict.fromkeys((2, 5), 0)}
    profile = profile_of(total, limits={"even": True, "max_registers": 8})
    far = meter(profile, values={"volume_forward": "12.5"}, preset=around)
    asked: list[tuple[int, int]] = []

    def answer(data: bytes) -> bytes:
        asked.append((int.from_bytes(data[2:4], "big"), count_of(data)))
        return answering(far)(data)

    tested = session(far, answer=answer)
    findings(tested)
    even = [(start, count) for start, count in asked if count != 0xFFFF]  # which is too many for any meter
    assert {start % 2 for start, _ in even} == {0}
    assert {count % 2 for _, count in even} == {0}
    assert (2, 8) in asked  # the longest that it allows


def test_a_maker_may_forbid_to_cut_a_value() -> None:
    far = meter(values=FLOWING)
    refusing = altered(far, lambda request, reply: exception(request, 2) if count_of(request) == 1 else reply)
    found = findings(session(far, answer=refusing), "reading.parts")
    assert found["reading.parts"].verdict is Verdict.DIFFERS


# --- mistakes, by the clause that they break


@pytest.mark.parametrize(
    ("mischief", "case", "clause"),
    [
        ({"kind": "wrong_crc"}, "frame.checksum", f"{SERIAL}, 2.5.1.2"),
        ({"kind": "wrong_crc", "period": 3}, "frame.checksum", f"{SERIAL}, 2.5.1.2"),
        ({"kind": "wrong_address"}, "frame.address", f"{SERIAL}, 2.3"),
        ({"kind": "wrong_function"}, "frame.function", f"{APPLICATION}, 4.1"),
        ({"kind": "wrong_count"}, "frame.count", f"{APPLICATION}, 6.3"),
        ({"kind": "wrong_count", "registers": 1}, "frame.count", f"{APPLICATION}, 6.3"),
        ({"kind": "cut"}, "frame.whole", f"{SERIAL}, 2.5.1.1"),
        ({"kind": "glued"}, "frame.alone", f"{SERIAL}, 2.5.1.1"),
        ({"kind": "noise"}, "frame.alone", f"{SERIAL}, 2.5.1.1"),
        ({"kind": "noise", "leading": 0, "trailing": 2}, "frame.alone", f"{SERIAL}, 2.5.1.1"),
        ({"kind": "dead", "period": 2}, "frame.answers", f"{SERIAL}, 2.1"),
    ],
)
def test_a_wrong_frame_is_found_by_its_clause(mischief: dict[str, Any], case: str, clause: str) -> None:
    tested = session(meter(values=FLOWING, mischief=[mischief]))
    assert set(bad(findings(tested, "frame."))) == {case}
    assert clauses(tested)[case] == clause


@pytest.mark.parametrize(
    ("kind", "case", "clause"),
    [
        ("wrong_crc", "frame.header", "3.1.3"),  # the protocol identifier, where TCP has no check sum
        ("wrong_address", "frame.address", "4.4.2.5"),
        ("glued", "frame.alone", "3.1.3"),
    ],
)
def test_a_wrong_tcp_frame_is_found_by_its_clause(kind: str, case: str, clause: str) -> None:
    tested = session(meter(mischief=[{"kind": kind}]), framing="tcp")
    assert case in bad(findings(tested, "frame."))
    assert clauses(tested)[case] == f"{TCP}, {clause}"


def test_a_refused_read_is_named_with_its_exception() -> None:
    found = findings(session(meter(mischief=[{"kind": "exception", "code": 4}])), "frame.answers")
    assert found["frame.answers"].reason == "refused"
    assert found["frame.answers"].arguments["code"] == 4
    assert found["frame.answers"].clause is not None
    assert found["frame.answers"].clause.number == "7"


def test_a_dead_meter_fails_once_and_leaves_the_rest_open() -> None:
    outcomes = run(session(meter(mischief=[{"kind": "dead"}])))
    verdicts = {each.case.id: each.finding.verdict for each in outcomes}
    assert verdicts.pop("frame.answers") is Verdict.FAILED
    assert set(verdicts.values()) == {Verdict.UNDECIDED}


def count_of(request: bytes) -> int:
    return int.from_bytes(request[4:6], "big")


def exception(request: bytes, code: int) -> bytes:
    body = bytes([request[0], request[1] | 0x80, code])
    return body + crc16(body)


def altered(far: Any, change: Callable[[bytes, bytes], bytes]) -> Answer:
    """A meter whose answers to sound requests are changed."""
    right = answering(far)
    return lambda data: change(data, right(data))


def other_code(expected: int, given: int) -> Callable[[bytes, bytes], bytes]:
    def change(request: bytes, reply: bytes) -> bytes:
        return exception(request, given) if len(reply) == 5 and reply[2] == expected else reply

    return change


@pytest.mark.parametrize(
    ("expected", "case", "number"),
    [
        (1, "exception.function", "7"),
        (2, "exception.address", "6.3, 7"),
        (2, "exception.end", "6.3, 7"),
        (3, "exception.no-registers", "6.3, 7"),
        (3, "exception.too-many", "6.3, 7"),
    ],
)
def test_a_wrong_exception_code_is_found_by_its_clause(expected: int, case: str, number: str) -> None:
    far = meter(values=FLOWING)
    tested = session(far, answer=altered(far, other_code(expected, 4)))
    found = findings(tested, case)
    assert found[case].reason == "other-exception"
    assert found[case].arguments == {"code": expected, "got": 4}
    assert clauses(tested)[case] == f"{APPLICATION}, {number}"


@pytest.mark.parametrize("case", ["exception.function", "exception.end", "exception.no-registers"])
def test_silence_instead_of_an_exception_is_found(case: str) -> None:
    far = meter(values=FLOWING)
    silent = altered(far, lambda _, reply: b"" if len(reply) == 5 else reply)
    assert findings(session(far, answer=silent), case)[case].reason == "unanswered"


def test_an_over_long_read_that_kills_the_meter_is_found() -> None:
    far = meter(values=FLOWING)
    dead = []

    def change(request: bytes, reply: bytes) -> bytes:
        if dead:
            return b""
        dead.extend([1] if count_of(request) == 126 else [])
        return reply

    found = findings(session(far, answer=altered(far, change)), "exception.too-many")["exception.too-many"]
    assert (found.verdict, found.reason) == (Verdict.FAILED, "dead-after")


def unchecked(request: bytes) -> bytes:
    """The request as a meter takes it that looks at no check sum and no address."""
    body = b"\x07" + request[1:-2]
    return body + crc16(body)


@pytest.mark.parametrize(
    ("case", "clause"),
    [
        ("silence.checksum", "2.4.2, 2.5.1.2"),
        ("silence.broadcast", "2.1, 2.4.1"),
        ("addressing.others", "2.2, 2.4.2"),
    ],
)
def test_an_answer_where_silence_is_due_is_found_by_its_clause(case: str, clause: str) -> None:
    far = meter(values=FLOWING)
    tested = session(far, answer=lambda data: answering(far)(unchecked(data)))
    assert findings(tested, case)[case].verdict is Verdict.FAILED
    assert clauses(tested)[case] == f"{SERIAL}, {clause}"


def test_another_meter_on_the_bus_is_no_failure() -> None:
    far, neighbour = meter(values=FLOWING), meter(address="8")
    tested = session(far, answer=lambda data: answering(far)(data) + answering(neighbour)(data))
    found = findings(tested, "addressing.others")["addressing.others"]
    assert (found.verdict, found.arguments["count"]) == (Verdict.DIFFERS, 1)


def test_a_tcp_meter_may_ignore_the_unit_but_not_change_it() -> None:
    far = meter(values=FLOWING)
    right = answering(far, "tcp")
    repeats = session(far, framing="tcp", answer=lambda data: (
        (reply := right(data[:6] + b"\x07" + data[7:])) and reply[:6] + data[6:7] + reply[7:]
    ))  # fmt: skip
    assert findings(repeats, "addressing")["addressing.units"].verdict is Verdict.DIFFERS
    changes = session(far, framing="tcp", answer=lambda data: right(data[:6] + b"\x07" + data[7:]))
    assert findings(changes, "addressing")["addressing.units"].reason == "other-unit"


def test_parts_that_differ_from_the_whole_are_found() -> None:
    far = meter(values=FLOWING)

    def change(request: bytes, reply: bytes) -> bytes:
        if count_of(request) != 1 or len(reply) != 7:
            return reply
        body = reply[:3] + bytes([reply[3] ^ 1]) + reply[4:5]
        return body + crc16(body)

    found = findings(session(far, answer=altered(far, change)), "reading.parts")["reading.parts"]
    assert (found.verdict, found.reason) == (Verdict.FAILED, "parts-differ")


# --- values and totals


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_POLL_S", 0.01)


def moving(far: Any, move: Callable[[float], dict[str, Any]], framing: str = "rtu") -> Answer:
    """A meter that shows something else as time goes on."""
    right, began_s = answering(far, framing), time.monotonic()

    def answer(data: bytes) -> bytes:
        far.update(move(time.monotonic() - began_s))
        return right(data)

    return answer


def flowing(per_s: str, shown_m3h: str) -> Callable[[float], dict[str, Any]]:
    return lambda elapsed_s: {
        "flow_rate": shown_m3h,
        "volume_forward": Decimal("28785.5") + Decimal(per_s) * Decimal(str(round(elapsed_s, 4))),
    }


@pytest.mark.parametrize(
    ("per_s", "verdict", "reason"),
    [("10", Verdict.PASSED, "flow-fits"), ("5", Verdict.FAILED, "flow-misses"), ("0", Verdict.FAILED, "stuck")],
)
@pytest.mark.usefixtures("hurried")
def test_a_total_must_follow_a_steady_flow(per_s: str, verdict: Verdict, reason: str) -> None:
    far = meter("tuf2000")
    tested = session(far, answer=moving(far, flowing(per_s, "36000")), watch_s=0.3)
    found = findings(tested, "totals.follow-flow")["totals.follow-flow"]
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.usefixtures("hurried")
def test_stuck_registers_are_named_by_their_rule() -> None:
    far = meter("tuf2000", values={"flow_rate": "36000", "volume_forward": "1000"}, mischief=[{"kind": "stuck"}])
    tested = session(far, answer=moving(far, flowing("10", "36000")), watch_s=0.2)
    found = findings(tested, "totals.follow-flow")["totals.follow-flow"]
    assert (found.reason, found.clause and found.clause.document) == ("stuck", "totals-stand")


@pytest.mark.usefixtures("hurried")
def test_a_small_flow_and_a_fixed_total_prove_nothing() -> None:
    tested = session(meter(values=FLOWING), watch_s=0.05)
    assert findings(tested, "totals.follow-flow")["totals.follow-flow"].reason == "too-little"


@pytest.mark.usefixtures("hurried")
def test_a_total_that_moves_as_the_flow_says_passes_however_little_it_is() -> None:
    far = meter("tuf2000")
    tested = session(far, answer=moving(far, flowing("0.01", "36")), watch_s=0.3)
    assert findings(tested, "totals.follow-flow")["totals.follow-flow"].reason == "flow-fits"


@pytest.mark.parametrize("kind", ["rollover", "jump"])
@pytest.mark.usefixtures("hurried")
def test_a_total_that_falls_is_named_by_its_rule(kind: str) -> None:
    far = meter(values=FLOWING, mischief=[{"kind": kind, "period": 8}])
    tested = session(far, watch_s=0.2)
    found = findings(tested, "totals.never-fall")["totals.never-fall"]
    assert (found.verdict, found.reason) == (Verdict.FAILED, "fell")


def test_a_fraction_of_a_whole_unit_is_found() -> None:
    far = meter("l-mag", preset={"input": {4120: 0, 4121: 5, 4122: 0x4020, 4123: 0}})  # 5, and a fraction of 2.5
    found = findings(session(far), "totals.whole")["totals.whole-and-fraction"]
    assert (found.verdict, found.arguments["value"]) == (Verdict.FAILED, "2.5")


@pytest.mark.parametrize(("kind", "type_"), [("nan", "f32"), ("nan", "f64"), ("not_bcd", "bcd32")])
def test_what_is_no_number_fails_by_the_profile(kind: str, type_: str) -> None:
    total = {"quantity": "volume_forward", "table": "holding", "register": 0, "type": type_}
    far = meter(profile_of(total), mischief=[{"kind": kind}])
    found = findings(session(far), "values.numbers")["values.numbers"]
    assert (found.verdict, found.reason) == (Verdict.FAILED, "no-number")


def test_all_ones_are_a_meters_right_to_have_no_value() -> None:
    total = {"quantity": "volume_forward", "table": "holding", "register": 0, "type": "u32"}
    found = findings(session(meter(profile_of(total), mischief=[{"kind": "all_ones"}])), "values.numbers")
    assert found["values.numbers"].verdict is Verdict.DIFFERS
    assert found["values.numbers"].arguments == {"quantity": "volume_forward", "why": "NOT_AVAILABLE"}


def test_the_word_order_is_told_by_values_and_never_a_failure() -> None:
    assert findings(session(meter(values=FLOWING)), "values.word")["values.word-order"].verdict is Verdict.PASSED
    assert findings(session(meter()), "values.word")["values.word-order"].verdict is Verdict.UNDECIDED
    swapped = meter(preset={"holding": {0: 0x4148, 1: 0}})  # 12.5 as abcd, where the profile says cdab
    found = findings(session(swapped), "values.word")["values.word-order"]
    assert (found.verdict, found.arguments["fitting"]) == (Verdict.DIFFERS, "abcd")


# --- nothing is ever written


def functions_within(data: bytes) -> set[int]:
    """The function of an RTU frame; in what is none, every one that a receiver could find by any start and length."""
    if crc16(data[:-2]) == data[-2:]:
        return {data[1]}
    ends = range(4, len(data) + 1)
    found = {data[at + 1] for end in ends for at in range(end - 3) if crc16(data[at : end - 2]) == data[end - 2 : end]}
    return {function for function in found if 0 < function < 128}  # 0 is none, 128 and above are answers


@pytest.mark.parametrize("name", modbus_profiles())
def test_only_reads_are_ever_sent(name: str) -> None:
    far = meter(name)
    rtu, tcp = session(far), session(far, framing="tcp")
    for tested in (rtu, tcp):
        run(tested)
    assert isinstance(rtu.wire, MemoryWire)
    assert isinstance(tcp.wire, MemoryWire)
    sent = {function for data in rtu.wire.sent for function in functions_within(data)}
    sent |= {data[7] for data in tcp.wire.sent if len(data) > 7}
    assert sent & {1, 2, 3, 4}
    assert sent <= {1, 2, 3, 4, 99}
    assert not sent & WRITES


@pytest.mark.parametrize("framing", ["rtu", "tcp"])
def test_a_write_cannot_be_sent_even_by_mistake(framing: str) -> None:
    tested = session(meter(), framing=framing)
    for function in (5, 6, 15, 16, 22, 23, 43):
        frame = tested.frame(bytes([function, 0, 0, 0, 1]))
        for data in (frame, tested.probe_frame() + frame, b"\0\0" + frame if framing == "rtu" else frame):
            with pytest.raises(PermissionError):
                tested.send(data)
    assert isinstance(tested.wire, MemoryWire)
    assert tested.wire.sent == []


def test_every_place_has_the_kinds_of_tests_that_it_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def ids(tested: Session, where: str) -> set[str]:
        tested.where = where
        return {case.id for case in cases_for(tested)}

    far = meter()
    rtu = session(far)
    serial, gateway = ids(rtu, "serial"), ids(rtu, "gateway")
    assert serial - gateway == {
        "timing.frame-silence", "timing.character-gaps", "recovery.garbage", "recovery.truncated", "recovery.glued",
    }  # fmt: skip
    assert {each.split(".")[0] for each in serial} == {
        "frame", "timing", "addressing", "silence", "exception", "reading", "recovery", "values", "totals",
    }  # fmt: skip
