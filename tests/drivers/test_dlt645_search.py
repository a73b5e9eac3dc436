"""How DL/T 645 meters are found, and which requests of others are let through to them."""

from __future__ import annotations

from datetime import datetime

from drivers.contract import Reply
from drivers.dlt645 import Dlt645Driver, broadcast_time
from drivers.dlt645_search import RAW_DLT645, dlt645_calls
from tests import wire
from tests.drivers.test_dlt645_frame import made

IMAGE = {"00010000": b"\x26\0\0\0"}


def test_two_questions_find_a_meter_of_either_edition() -> None:
    calls = dlt645_calls(framing="rtu", numbers=())
    driver = Dlt645Driver()
    for image, answered in ((IMAGE, [True, False]), ({"9010": b"\x26\0\0\0"}, [False, True])):
        replies = [driver.answer(call.ask.begin(0).request, {"000000190101": image}) for call in calls]
        assert [bool(reply) for reply in replies] == answered
        for call, reply in zip(calls, replies, strict=True):
            if reply:
                assert isinstance(wire.fed(call.ask.begin(0), [reply]), Reply)
                assert call.heard(b"\0\xff" + reply) == "000000190101"
            assert call.heard(call.ask.begin(0).request) is None, "an echo is no meter"
    assert dlt645_calls(framing="tcp", numbers=()) == ()


def test_meters_that_answer_together_are_told_apart_by_their_last_digits() -> None:
    call = dlt645_calls(framing="rtu", numbers=())[0]
    narrower = call.narrower()
    assert (len(narrower), narrower[1].address, narrower[1].narrower()[23].address) == (
        100,
        "AAAAAAAAAA01",
        "AAAAAAAA2301",
    )
    answered = [
        each.address for each in narrower if Dlt645Driver().answer(each.ask.begin(0).request, {"000000190142": IMAGE})
    ]
    assert answered == ["AAAAAAAAAA42"]
    for _ in range(6):
        call = call.narrower()[0]
    assert (call.address, call.narrower()) == ("000000000000", ())


def test_only_reads_of_others_are_let_through() -> None:
    for control, plain in (("11", "00000100"), ("12", "00FF0100 01"), ("13", ""), ("01", "1090"), ("02", "1F90")):
        assert RAW_DLT645.is_read("rtu", b"\xfe" * 4 + made(control, plain))
        assert not RAW_DLT645.is_read("tcp", made(control, plain))
    for control, plain in (
        ("14", "0101000400000000"),
        ("1C", "00"),
        ("08", "512210050617"),
        ("91", "00000100"),
        ("1A", "00"),
    ):
        assert not RAW_DLT645.is_read("rtu", made(control, plain))
    assert not RAW_DLT645.is_read("rtu", broadcast_time(datetime.fromisoformat("2026-01-01T00:00:00")))
    assert not RAW_DLT645.is_read("rtu", made("11", "00000100") + made("1C", "00")), "two at once"
    assert not RAW_DLT645.is_read("rtu", made("11", "00000100")[:-1])


def test_an_answer_is_whole_when_a_sound_frame_of_a_meter_is_there() -> None:
    request, reply = made("11", "00000100"), made("91", "00000100 26000000")
    assert RAW_DLT645.is_whole(request, request + b"\xfe\xfe" + reply)
    assert not RAW_DLT645.is_whole(request, request)
    assert not RAW_DLT645.is_whole(request, reply[:-1])
