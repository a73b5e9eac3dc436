"""What the sound of a bus means."""

from __future__ import annotations

from agent.messages import LANGUAGES, Messages
from agent.scan.found import FoundMeter, Garbled, Hearing
from agent.scan.interpret import findings
from agent.settings import SerialSettings

LOW, HIGH = SerialSettings(baud=9600), SerialSettings(baud=115200)


def meter(address: str = "1", serial: SerialSettings = LOW, delay_s: float = 0.02) -> FoundMeter:
    return FoundMeter(
        protocol="modbus", address=address, serial=serial, delay_s=delay_s, received=b"", is_identified=True
    )


def garbled(address: str, serial: SerialSettings = LOW) -> Garbled:
    return Garbled(protocol="modbus", address=address, serial=serial, received=b"\x00\xfe" * 20)


def codes(heard: Hearing) -> list[str]:
    found = findings(heard)
    for lang in LANGUAGES:
        messages = Messages(lang)
        for each in found:
            key = f"scan.finding.{each.code}"
            assert messages.has(key)
            assert "{" not in messages.text(key, **each.arguments), "every placeholder is filled"
    return [each.code for each in found]


def test_silence_is_told_from_noise() -> None:
    assert codes(Hearing(asked=64)) == ["silent"]
    assert codes(Hearing(asked=0)) == [], "the port could not be opened: nobody was asked"
    assert codes(Hearing(asked=64, garbled=[garbled("3"), garbled("4")])) == ["noise"]


def test_answers_garbled_only_at_a_high_baud_point_at_the_terminator() -> None:
    heard = Hearing(meters=[meter("1")], garbled=[garbled("2", HIGH)])
    assert codes(heard) == ["high_baud", "unknown"]


def test_garbled_answers_beside_sound_ones_point_at_a_double_address() -> None:
    assert codes(Hearing(meters=[meter("1")], garbled=[garbled("2")])) == ["garbled", "unknown"]


def test_a_meter_that_is_sound_with_another_parity_explains_its_noise() -> None:
    even = SerialSettings(parity="even")
    assert codes(Hearing(meters=[meter("1", even)], garbled=[garbled("1")])) == ["unknown"]


def test_echo_strangers_other_masters_and_slow_meters_are_told() -> None:
    heard = Hearing(
        meters=[meter(delay_s=0.8)],
        echoes=5,
        unasked={LOW: b"\x01\x02"},
        strangers={"40"},
        answers_any_unit=True,
    )
    assert codes(heard) == ["echo", "talking", "any_unit", "stranger", "slow", "unknown"]
