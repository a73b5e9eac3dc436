"""SL 651-2014: frames, packets and what is wrong with them.

Expected values come from the published frames, the sheet's worked examples and frames made by hand.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.main import main
from agent.uplinks.sl651_wire import body
from agent.uplinks.sl651_wire.codes import (
    BodyError,
    Control,
)
from agent.uplinks.sl651_wire.crc import RunningCrc
from agent.uplinks.sl651_wire.fields import fields_of
from agent.uplinks.sl651_wire.packets import Assembly, confirmation, confirms, refusal, resent, split
from agent.uplinks.sl651_wire.receiver import first_frame
from drivers.octets import crc16_register
from tests.agent.uplinks.sl651_checks import has, is_wrong
from tests.agent.uplinks.sl651_frames import REPORT, ascii_up, down, up, witness

# --- frame


def test_the_check_sum_is_that_of_the_standard():
    assert crc16_register(b"123456789") == witness(b"123456789") == 0x4B37


@given(data=st.binary(max_size=200), first=st.integers(0, 100), size=st.integers(0, 100), dropped=st.integers(0, 20))
def test_a_running_sum_knows_every_part(data, first, size, dropped):
    running = RunningCrc()
    running.extend(data[:7])
    running.extend(data[7:])
    running.drop(dropped := min(dropped, len(data)))
    data = data[dropped:]
    part = data[first : first + size]
    assert running.of(min(first, len(data)), min(first, len(data)) + len(part)) == witness(part)


def test_each_wrong_frame_says_which_rule_it_breaks():
    sound = up("32", REPORT, "38 12 1265")
    is_wrong(b"\x00" * 20, "no_start", size=20)
    is_wrong(sound[:13], "incomplete", size=13, expected=len(sound))
    is_wrong(sound[:5], "incomplete", size=5, expected=17)
    is_wrong(sound[:11] + b"\x10" + sound[12:], "direction", received="1")
    is_wrong(sound[:13] + b"\x03" + sound[14:], "body_start", received="03", clause="6.2.2")
    is_wrong(sound[:-3] + b"\x05" + sound[-2:], "end", received="05", direction="up", expected="ETX=03 ETB=17")
    is_wrong(sound[:-2] + b"\x00\x00", "crc", expected=sound[-2:].hex().upper(), received="0000", clause="6.5.2")
    is_wrong(sound[:-2] + sound[:-3:-1], "crc_order", expected=sound[-2:].hex().upper())
    is_wrong(up("32", header=""), "length", received=0, low=1)
    is_wrong(down("32", end="03"), "end", received="03", direction="down")
    is_wrong(down("36", end="15"), "end", received="15")
    is_wrong(up("36", packet="001002"), "packet", received=2, total=1)
    is_wrong(up("36", packet="001000"), "packet", received=0, total=1)
    text = ascii_up("32", "ST 5010123456 H TT 2609090800 Z 6.38 ")
    is_wrong(text[:5] + b"x" + text[6:], "not_hex", received="78", offset=5)
    is_wrong(text[:-1], "incomplete", expected=len(text))
    is_wrong(text[:-4] + b"0000", "crc", expected=text[-4:].decode(), clause="6.4.2")
    is_wrong(ascii_up("32", "", packet="00100G"), "packet", total="?")


def test_bytes_that_are_no_hex_are_wrong_input(capsys):
    assert main(["frame", "sl651", "7E7G", "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_a_wrong_frame_is_an_error_for_machines_and_a_sentence_for_people(capsys):
    assert main(["frame", "sl651", "7E7E0100", "--json", "--lang", "en"]) == 1
    output = capsys.readouterr()
    assert json.loads(output.out)["error"]["code"] == "sl651_incomplete"
    assert "Cut off" in output.err


def test_bytes_around_a_sound_frame_are_counted_and_not_passed_over(capsys):
    sound = up("32", REPORT, "38 12 1265")
    for before in (b"", b"\x00", b"\x7e", b"\x7e\x7e", b"\x01", sound[:-1], sound[:-2] + b"\0\0"):
        around = before + sound + b"\x7e"
        assert first_frame(around)[1].encode() == sound
        is_wrong(around, "around", before=len(before), after=1, size=len(sound), clause="6.5.2")
    is_wrong(sound + sound, "around", before=0, after=len(sound))
    text = ascii_up("32", "ST 5010123456 H TT 2609090800 Z 6.38 ")
    is_wrong(text + b"\r\n", "around", before=0, after=2, size=len(text), clause="6.4.2")
    assert main(["frame", "sl651", "00" + sound.hex(), "--json", "--lang", "en"]) == 1
    output = capsys.readouterr()
    assert json.loads(output.out)["error"]["arguments"]["before"] == 1
    assert "1 bytes before" in output.err


def test_every_end_character_has_its_place():
    for end, name in (("03", "ETX"), ("17", "ETB")):
        has(up("2F", end=end), {"end": name, "direction": "up", "serial": 7})
    for end, name in (("05", "ENQ"), ("06", "ACK"), ("04", "EOT"), ("1B", "ESC")):
        has(down("32", end=end), {"end": name, "direction": "down", "send_time": "2025-01-02 08:00:05"})
    for end, name in (("15", "NAK"), ("04", "EOT"), ("1B", "ESC")):
        has(down("36", end=end, packet="00D003"), {"end": name, "packet_total": 13, "packet_seq": 3, "serial": 7})


def test_a_minimal_acknowledgement_has_no_serial_number():
    has(down("32", end="1B", header=""), {"body_length": 0, "end": "ESC"}, "serial", "send_time")


def test_the_longest_body_and_no_longer_one():
    longest = up("35", "F2F2", "41" * (4095 - 10))
    has(longest, {"body_length": 4095, "manual_text": "A" * 4085})
    _, frame = first_frame(longest)
    with pytest.raises(ValueError, match="4096"):
        replace(frame, payload=frame.payload + b"A").encode()


# --- packets


def test_a_body_in_packets_is_put_together_whatever_the_order():
    samples = "".join(f"{number:08}" for number in range(100))
    _, whole = first_frame(up("38", REPORT, "04 18 000005 39 23", samples))
    packets = split(whole, 90)
    assert [packet.end for packet in packets] == [Control.ETB] * (len(packets) - 1) + [Control.ETX]
    first = fields_of(packets[0].encode())
    assert (first["packet_total"], first["packet_seq"], first["serial"]) == (len(packets), 1, 7)
    assert first["groups"][0]["series"]["values"] == [f"{number / 1000:.3f}" for number in range(15)]
    second = fields_of(packets[1].encode())
    assert (second["payload_bytes"], len(second["payload_head"])) == (90, 16)
    assert {"serial", "send_time", "groups"}.isdisjoint(second)
    assembly = Assembly()
    assert [assembly.add(packet) for packet in packets[:0:-1]] == [None] * (len(packets) - 1)
    assert assembly.missing == [1]
    assert assembly.add(packets[0]) == whole
    assert assembly.missing == []
    assert len(body.decode(whole).parts[-1].samples) == 100


def test_a_long_body_in_packets_is_refused_before_it_fills_memory():
    packets = split(first_frame(up("36", REPORT, "F3F3", "00" * 3000))[1], 100)
    assembly = Assembly(most_bytes=1000)
    for packet in packets[:10]:
        assert assembly.add(packet) is None
    with pytest.raises(BodyError):
        assembly.add(packets[10])
    assert assembly.missing == []


def test_a_centre_asks_for_one_packet_again_and_confirms_the_last():
    packets = split(first_frame(up("36", REPORT, "F3F3", "00" * 600))[1])
    again = refusal(packets[2], 2, sent="250102080006", serial=7)
    assert again.encode() == down("36", end="15", packet="003002", header="0007 250102080006")
    assert resent(packets[1]).end is Control.ETX
    done = confirmation(packets[2], sent="250102080006", serial=7)
    assert done.encode() == down("36", end="1B", packet="003003", header="0007 250102080006")
    assert refusal(packets[0], 1, sent="250102080006", serial=0).payload[:2] == b"\0\0"


def test_only_the_right_answer_confirms():
    _, report = first_frame(up("32", REPORT, "38 12 1265"))

    def answers(raw: bytes) -> bool:
        return confirms(first_frame(raw)[1], report)

    for end in ("06", "04", "1B"):
        assert answers(down("32", end=end))
    assert answers(down("32", end="1B", header=""))
    assert not answers(down("32", end="05"))
    assert not answers(down("33", end="1B"))
    assert not answers(down("32", end="1B", header="0006 250102080005"))
    assert not answers(up("32"))
