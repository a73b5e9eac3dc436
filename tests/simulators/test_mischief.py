"""Each kind of mischief does what it says, byte by byte, and no more often than asked."""

from __future__ import annotations

import struct
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.octets import crc16, has_sound_crc
from simulators.meters.record import Answered
from simulators.mischief import Mischief
from tests.simulators.far_end import (
    QUIET_S,
    SerialClient,
    ask_tcp,
    counted,
    meter,
    packaged,
    profile,
    read_request,
    registers_in,
    serial,
    tcp,
)

SHOWN = {"volume_forward": "1234.56", "flow_rate": "2.5"}
REQUEST = read_request(1, 0, 4)
SOUND = bytes.fromhex("010308 0001E240 40200000")  # 123456 x 0.01; 2.5
SOUND += crc16(SOUND)


def replies(*mischief: dict[str, Any], asked: int = 1, request: bytes = REQUEST, framing: str = "rtu") -> list[bytes]:
    """What a meter with this mischief answers."""
    with tcp(meter(values=SHOWN, mischief=mischief), framing=framing) as line:
        return [ask_tcp(line.port, request) for _ in range(asked)]


def reply(*mischief: dict[str, Any], request: bytes = REQUEST, framing: str = "rtu") -> bytes:
    return replies(*mischief, request=request, framing=framing)[0]


def test_without_mischief_the_answer_is_sound() -> None:
    assert reply() == SOUND


def test_a_dead_meter_is_silent_and_its_neighbour_is_not() -> None:
    with tcp(meter("a", "1", mischief=[{"kind": "dead"}]), meter("b", "2"), framing="rtu") as line:
        assert ask_tcp(line.port, REQUEST) == b""
        assert len(ask_tcp(line.port, read_request(2, 0, 4))) == len(SOUND)
        stats = counted(line, 2)
        assert (stats.answered, stats.unanswered) == (1, 1)


def test_a_slow_meter_multiplies_its_turnaround(tmp_path: Path) -> None:
    records: list[Answered] = []
    far = meter(baud=19200)
    with (
        serial(tmp_path / "a", far, latency_s=0.02, observers=[records.append]) as line,
        SerialClient(line.path, 19200) as client,
    ):
        for mischief in ([], [{"kind": "slow", "factor": 5}]):
            far.mischief = mischief
            for _ in range(3):
                client.ask(REQUEST, len(SOUND))
                time.sleep(0.01)
        counted(line, 6)
    plain, slow = (sorted(r.at_ns - r.heard_ns for r in part)[1] for part in (records[:3], records[3:]))
    assert 3 < slow / plain < 5


def test_a_late_answer_comes_into_the_next_question(tmp_path: Path) -> None:
    neighbour = meter("b", "2", values={"volume_forward": "1"}, latency_s=0.3)
    late = meter("a", "1", values=SHOWN, mischief=[{"kind": "late", "delay": "200ms"}])
    with serial(tmp_path / "a", late, neighbour) as line, SerialClient(line.path) as client:
        assert client.ask(REQUEST, len(SOUND), within_s=0.1) == b""  # the client gave up
        assert client.ask(read_request(2, 0, 4), len(SOUND)) == SOUND  # and takes this for the other meter's answer
        assert sum(len(data) for _, data in client.chunks(len(SOUND))) == len(SOUND)
        assert counted(line, 2).answered == 2


def test_a_wrong_check_sum_is_the_only_thing_wrong() -> None:
    found = reply({"kind": "wrong_crc"})
    assert found[:-2] == SOUND[:-2]
    assert not has_sound_crc(found)


def test_on_modbus_tcp_which_has_no_check_sum_the_protocol_identifier_is_wrong() -> None:
    found = reply({"kind": "wrong_crc"}, request=bytes.fromhex("000100000006010300000004"), framing="tcp")
    assert found[:2] == b"\x00\x01"
    assert found[2:4] != b"\x00\x00"
    assert found[9:] == SOUND[3:-2]


@pytest.mark.parametrize(("options", "code"), [({}, 4), ({"code": 2}, 2), ({"code": 11}, 11)])
def test_an_exception_is_a_sound_frame_with_that_code(options: dict[str, int], code: int) -> None:
    body = bytes([1, 0x83, code])
    assert reply({"kind": "exception", **options}) == body + crc16(body)


def test_an_exception_on_modbus_tcp_keeps_the_transaction() -> None:
    found = reply({"kind": "exception", "code": 6}, request=bytes.fromhex("ABCD00000006010300000004"), framing="tcp")
    assert found == bytes.fromhex("ABCD00000003018306")


def test_a_cut_answer_is_a_beginning() -> None:
    assert reply({"kind": "cut"}) == SOUND[: len(SOUND) // 2]
    assert reply({"kind": "cut", "bytes": 12}) == SOUND[:12]
    assert reply({"kind": "cut", "bytes": 0}) == b""


def test_a_glued_answer_is_two_frames_in_one() -> None:
    assert reply({"kind": "glued"}) == SOUND + SOUND


def test_noise_stands_before_and_after_the_frame_and_is_the_same_again() -> None:
    before = reply({"kind": "noise"})
    assert before[3:] == SOUND
    around = {"kind": "noise", "leading": 2, "trailing": 4, "seed": 7}
    found = reply(around)
    assert found[2:-4] == SOUND
    assert reply(around) == found
    assert reply({**around, "seed": 8}) != found


def test_a_wrong_address_is_in_a_sound_frame() -> None:
    for options, address in (({}, 2), ({"address": 17}, 17)):
        found = reply({"kind": "wrong_address", **options})
        assert found[0] == address
        assert found[1:-2] == SOUND[1:-2]
        assert has_sound_crc(found)


def test_a_wrong_function_is_in_a_sound_frame() -> None:
    found = reply({"kind": "wrong_function"})
    assert found[1] == 4
    assert found[2:-2] == SOUND[2:-2]
    assert has_sound_crc(found)


@pytest.mark.parametrize(("options", "registers"), [({}, 3), ({"registers": 2}, 6), ({"registers": -4}, 0)])
def test_a_wrong_count_is_in_a_sound_frame(options: dict[str, int], registers: int) -> None:
    found = reply({"kind": "wrong_count", **options})
    assert found[2] == 2 * registers
    assert len(found) == 5 + 2 * registers
    assert has_sound_crc(found)
    assert registers_in(found)[: len(registers_in(SOUND))] == registers_in(SOUND)[: 2 * registers]


def test_a_stuck_meter_goes_on_showing_what_it_showed() -> None:
    far = meter(values=SHOWN)
    with tcp(far, framing="rtu") as line:
        far.mischief = [{"kind": "stuck"}]
        far.set("volume_forward", "9999.99")
        assert ask_tcp(line.port, REQUEST) == SOUND
        far.mischief = []
        assert registers_in(ask_tcp(line.port, REQUEST))[:4] == (999999).to_bytes(4, "big")


def test_a_jump_and_a_rollover_change_the_counter_served_and_nothing_else() -> None:
    for mischief, shown in (
        ({"kind": "jump", "by": "500.5"}, 173506),
        ({"kind": "jump", "by": -34, "quantity": "volume_forward"}, 120056),
        ({"kind": "rollover", "at": 1000}, 23456),
        ({"kind": "rollover"}, 23456),
        ({"kind": "rollover", "at": 5000}, 123456),
    ):
        found = registers_in(reply(mischief))
        assert found == shown.to_bytes(4, "big") + struct.pack(">f", 2.5), mischief


def test_the_record_of_an_answer_says_what_was_served_and_the_meter_what_it_measures() -> None:
    records: list[Answered] = []
    far = meter(values=SHOWN, mischief=[{"kind": "jump", "by": 1}])
    with tcp(far, framing="rtu", observers=[records.append]) as line:
        ask_tcp(line.port, REQUEST)
        counted(line, 1)
    assert records[0].values["volume_forward"] == Decimal("1235.56")
    assert far.values["volume_forward"] == Decimal("1234.56")


def test_patterns_that_mean_no_value() -> None:
    made = profile(
        {"quantity": "flow_rate", "table": "holding", "register": 0, "type": "f32", "order": "cdab"},
        {"quantity": "volume_forward", "table": "holding", "register": 2, "type": "f64"},
        {"quantity": "energy_import", "table": "holding", "register": 6, "type": "bcd32"},
        {"quantity": "level", "table": "holding", "register": 8, "type": "u16"},
    )
    request = read_request(1, 0, 9)

    def served(**mischief: Any) -> bytes:
        with tcp(meter(profile=made, values={"level": 7}, mischief=[mischief]), framing="rtu") as line:
            return registers_in(ask_tcp(line.port, request))

    rest = bytes(4) + bytes.fromhex("0007")
    assert served(kind="nan") == bytes.fromhex("00007FC0 7FF8000000000000") + rest
    assert served(kind="nan", quantity="flow_rate") == bytes.fromhex("00007FC0") + bytes(8) + rest
    assert served(kind="all_ones") == b"\xff" * 18
    assert served(kind="all_ones", quantity="level") == bytes(16) + b"\xff\xff"
    assert served(kind="not_bcd") == bytes(12) + b"\xab" * 4 + bytes.fromhex("0007")


def test_a_meter_that_refuses_merged_reads_answers_exception_two_only_to_those() -> None:
    made = packaged("tuf2000")
    refusing = [{"kind": "refuse_merged"}]
    with tcp(meter(profile=made, gaps=True, mischief=refusing), framing="rtu") as line:
        assert ask_tcp(line.port, read_request(1, 0, 6))[:3] == b"\x01\x83\x02"
        assert len(ask_tcp(line.port, read_request(1, 8, 8))) == 21
        line.meters["m1"].mischief = []
        assert len(ask_tcp(line.port, read_request(1, 0, 6))) == 17


def test_mischief_strikes_at_every_so_manieth_request() -> None:
    found = replies({"kind": "dead", "period": 3}, asked=7)
    assert [bool(one) for one in found] == [True, True, False, True, True, False, True]


def test_a_probability_is_met_and_a_seed_repeats_it() -> None:
    request = bytes.fromhex("000100000006010300000004")

    def struck(seed: int) -> list[bool]:
        mischief = {"kind": "exception", "probability": "0.3", "seed": seed}
        with tcp(meter(values=SHOWN, mischief=[mischief])) as line:
            answers = ask_tcp(line.port, request * 200)
        found = []
        while answers:
            size = 6 + int.from_bytes(answers[4:6], "big")
            found.append(bool(answers[7] & 0x80))
            answers = answers[size:]
        return found

    first = struck(1)
    assert len(first) == 200
    assert 35 <= sum(first) <= 85  # 60 expected
    assert struck(1) == first
    assert struck(2) != first


def test_several_kinds_act_together_in_their_order() -> None:
    found = reply({"kind": "noise", "leading": 1}, {"kind": "wrong_crc"}, {"kind": "exception", "code": 5})
    assert found[1:4] == bytes([1, 0x83, 5])
    assert not has_sound_crc(found[1:])
    assert len(found) == 6


def test_mischief_changes_while_the_line_runs() -> None:
    far = meter(values=SHOWN)
    with tcp(far, framing="rtu") as line:
        assert ask_tcp(line.port, REQUEST) == SOUND
        far.mischief = [{"kind": "dead"}]
        assert ask_tcp(line.port, REQUEST, within_s=QUIET_S) == b""
        far.mischief = []
        assert ask_tcp(line.port, REQUEST) == SOUND


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "asleep"},
        {"kind": "dead", "factor": 2},
        {"kind": "slow", "factor": 0},
        {"kind": "slow", "speed": 2},
        {"kind": "late", "delay": 3},
        {"kind": "dead", "probability": 2},
        {"kind": "dead", "period": 0},
        {"kind": "jump", "quantity": "flow"},
        {"kind": "noise", "leading": 65},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Mischief.model_validate(wrong)


@pytest.mark.parametrize("kind", ["not_bcd", "rollover"])
def test_mischief_that_a_meter_cannot_do_is_refused(kind: str) -> None:
    made = profile({"quantity": "level", "table": "holding", "register": 8, "type": "u16"})
    far = meter(profile=made)
    with pytest.raises(ValueError, match="sim-mischief"):
        far.mischief = [{"kind": kind}]
    assert far.mischief == ()
