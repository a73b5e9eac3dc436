"""Patterns of registrations and heartbeats: what they accept, whom they name, what they take out of a stream."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import load
from agent.dtu import Pattern, PatternError, Strainer, pattern_of
from agent.form.problems import FormErrors
from drivers.registry import DRIVERS


def registration(text: str) -> Pattern:
    return pattern_of(text, is_open=True)


@pytest.mark.parametrize(
    ("text", "heard", "is_named"),
    [
        ("QS-0007", b"QS-0007", True),
        ("QS-0007", b"\r\nQS-0007\r\n", True),
        ("QS-0007", b"QS-0007\x00\x00", True),
        ("QS-0007", b"QS-0007QS-0007", False),
        ("QS-0007", b"QS-0007\x01\x03\x02", True),
        ("QS-0007", b"QS-00070", False),
        ("QS-0007", b"QS-0007a", False),
        ("QS-0007", b"QS-000", False),
        ("QS-0007", b"xQS-0007", False),
        ("QS-0007", b"", False),
        ("QS-0007*", b"QS-00070 and more", True),
        ("*QS-0007", b"[ QS-0007", True),
        ("*8661*", b'{"imei":"8661","csq":23}', True),
        ("QS-????", b"QS-1234", True),
        ("QS-????", b"QS-12345", False),
        ("hex: 7B 01 ?? 16", bytes.fromhex("7B010016"), True),
        ("hex: 7B 01 ?? 16", bytes.fromhex("7B01001641"), True),
        ("hex: 7B01??16", bytes.fromhex("7B02FF16"), False),
        ("井-7", "井-7".encode(), True),
        ("a.c+", b"abcc", False),
    ],
)
def test_a_registration_names_its_dtu_and_no_other(text: str, heard: bytes, is_named: bool) -> None:
    assert registration(text).names(heard) is is_named


@pytest.mark.parametrize(
    ("one", "two", "may"),
    [
        ("QS-1", "QS-2", False),
        ("QS-1", "QS-17", False),
        ("QS-1", "QS-1", True),
        ("QS-?", "QS-1", True),
        ("QS-1*", "QS-17", True),
        ("*17*", "QS-17", True),
        ("*17", "QS-17", True),
        ("QS-1", "QS-1/a", True),
        ("hex: 51 53", "hex: 51 53 00", True),
    ],
)
def test_registrations_that_one_packet_can_fit_are_known(one: str, two: str, may: bool) -> None:
    assert registration(one).may_name_the_same(registration(two)) is may
    assert registration(two).may_name_the_same(registration(one)) is may


@pytest.mark.parametrize(
    ("text", "code"),
    [("hex: 7", "pattern-hex"), ("hex: 7B zz", "pattern-hex"), ("a*b", "pattern-star"), ("?", "pattern-any"),
     ("*", "pattern-any"), ("**", "pattern-any"), ("hex: ??", "pattern-any")],
)  # fmt: skip
def test_what_is_no_pattern_is_refused_with_its_reason(text: str, code: str) -> None:
    with pytest.raises(PatternError) as caught:
        registration(text)
    assert caught.value.code == code


@given(st.text(min_size=1, max_size=40))
def test_any_text_is_a_pattern_or_refused_and_a_pattern_names_itself(text: str) -> None:
    try:
        found = pattern_of(text, is_exact=True)
    except (PatternError, UnicodeEncodeError):
        return
    assert found.names(found.packet)
    assert Strainer(found).strained(found.packet) == b""


def test_own_packets_are_taken_out_wherever_they_stand_the_longest_first() -> None:
    strainer = Strainer(pattern_of("QS"), pattern_of("QS-0007"), None)
    assert strainer.strained(b"QSabQS-0007cdQS") == b"abcd"
    assert strainer.is_beginning(b"QS-00")
    assert not strainer.is_beginning(b"QS-01")
    assert Strainer(None).strained(b"QS") == b"QS"


CONFIG = """\
station: {{id: a}}
lines:
  one: {{dial_in: {{listen: "0.0.0.0:9100", registration: "QS-1"}}}}
  two: {{{two}}}
meters:
  m: {{line: one, profile: tuf2000, address: "1", poll: 1m}}
"""


@pytest.mark.parametrize(
    ("two", "found"),
    [
        ('dial_in: {listen: "0.0.0.0:9100", registration: "QS-1"}', ("lines.two.dial_in.registration", "dial-in-same")),
        ('dial_in: {listen: "0.0.0.0:9100"}', ("lines.two.dial_in.listen", "dial-in-shared")),
        ('dial_in: {listen: "agent.example:9100"}', ("lines.two.dial_in.listen", "listen")),
        ('dial_in: {listen: "0.0.0.0"}', ("lines.two.dial_in.listen", "host-port")),
        ("dial_in: {}", ("lines.two.dial_in.listen", "missing")),
        ('dial_in: {listen: "0.0.0.0:9101", heartbeat: "x*"}', ("lines.two.dial_in.heartbeat", "pattern-star")),
        (
            'dial_in: {listen: "0.0.0.0:9101", heartbeat_answer: "x?"}',
            ("lines.two.dial_in.heartbeat_answer", "pattern-wild"),
        ),
        ('dial_in: {listen: "0.0.0.0:9101"}, port: /dev/ttyS0', ("lines.two.dial_in", "port-and-tcp")),
        ('dial_in: {listen: "0.0.0.0:9101"}, rs485: true', ("lines.two.rs485", "serial-on-tcp")),
        ('dial_in: {listen: "0.0.0.0:9101"}, framing: tcp, baud: 9600', ("lines.two.baud", "serial-on-tcp")),
        (
            f'dial_in: {{listen: "0.0.0.0:9101", registration: "{"x" * 201}"}}',
            ("lines.two.dial_in.registration", "too-long"),
        ),
    ],
)
def test_every_mistake_in_a_dial_in_line_has_its_place(tmp_path: Path, two: str, found: tuple[str, str]) -> None:
    with pytest.raises(FormErrors) as caught:
        load(tmp_path / "agent.yaml", text=CONFIG.format(two=two), drivers=DRIVERS, uplink_settings={})
    assert [(each.path, each.code) for each in caught.value.problems] == [found]
