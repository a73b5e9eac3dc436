"""The configuration that a scan proposes passes every check."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import load
from agent.scan.draft import DraftLine, draft
from agent.scan.found import FoundMeter
from agent.scan.identify import Candidate
from agent.settings import Config, SerialSettings
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS


def fitting(*profiles: str) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(profile=name, is_marked=False, score=9.0 - at, fitting=3, quantities=3, values={})
        for at, name in enumerate(profiles)
    )


def meter(address: str, *profiles: str, serial: SerialSettings | None = None, delay_s: float = 0.02) -> FoundMeter:
    return FoundMeter(
        protocol="modbus",
        address=address,
        serial=serial or SerialSettings(),
        delay_s=delay_s,
        received=b"",
        candidates=fitting(*profiles),
    )


def drafted(meters: list[FoundMeter], line: DraftLine, names: dict[str, str] | None = None) -> str | None:
    def note(code: str, **arguments: object) -> str:
        return f"{code} {arguments}"

    return draft(meters, line, station="station-1", note=note, names=lambda each: (names or {}).get(each.address))


def checked(text: str | None, tmp_path: Path) -> Config:
    assert text is not None
    return load(tmp_path / "agent.yaml", text=text, drivers=DRIVERS, uplink_settings=settings_models())


PORT = DraftLine(name="rs485-1", port="/dev/serial/by-id/usb-FTDI-if00", tcp=None, framing="rtu")


def test_the_draft_passes_the_check(tmp_path: Path) -> None:
    config = checked(drafted([meter("3", "tuf2000", "l-mag"), meter("17", "l-mag")], PORT), tmp_path)
    assert config.lines["rs485-1"].port == "/dev/serial/by-id/usb-FTDI-if00"
    assert {name: (each.profile, each.address) for name, each in config.meters.items()} == {
        "tuf2000-3": ("tuf2000", "3"),
        "l-mag-17": ("l-mag", "17"),
    }


def test_meters_with_other_settings_carry_them(tmp_path: Path) -> None:
    even = SerialSettings(baud=2400, parity="even")
    meters = [meter("1", "l-mag"), meter("2", "l-mag"), meter("9", "tuf2000", serial=even)]
    config = checked(drafted(meters, PORT), tmp_path)
    assert (config.lines["rs485-1"].baud, config.lines["rs485-1"].parity) == (9600, "none")
    assert (config.meters["tuf2000-9"].baud, config.meters["tuf2000-9"].parity) == (2400, "even")


def test_what_the_bus_needs_is_in_the_draft(tmp_path: Path) -> None:
    line = DraftLine(name="bus", port="/tmp/a b: c", tcp=None, framing="rtu", echo=True)
    config = checked(drafted([meter("1", "l-mag", delay_s=0.8)], line), tmp_path)
    assert config.lines["bus"].port == "/tmp/a b: c"
    assert config.lines["bus"].echo
    assert config.lines["bus"].timeout_s > 1.6


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
def test_endpoints_are_drafted_too(tmp_path: Path, framing: str) -> None:
    line = DraftLine(name="lan-1", port=None, tcp="[::1]:502", framing=framing)
    config = checked(drafted([meter("1", "l-mag")], line), tmp_path)
    assert str(config.lines["lan-1"].tcp) == "[::1]:502"
    assert config.lines["lan-1"].framing == framing


def test_configured_meters_keep_their_names(tmp_path: Path) -> None:
    assert "main-flow" in checked(drafted([meter("3", "tuf2000")], PORT, {"3": "main-flow"}), tmp_path).meters


def test_meters_without_a_profile_and_addresses_taken_twice_are_comments(tmp_path: Path) -> None:
    twice = meter("3", "tuf2000", serial=SerialSettings(baud=2400))
    text = drafted([meter("3", "tuf2000"), meter("5"), twice], PORT)
    assert list(checked(text, tmp_path).meters) == ["tuf2000-3"]
    assert text is not None
    assert "# unknown" in text
    assert "# same_address" in text


def test_without_a_known_meter_there_is_no_draft() -> None:
    assert drafted([meter("5")], PORT) is None


def test_long_names_are_cut_and_stay_apart(tmp_path: Path) -> None:
    meters = [meter("3", "l-mag"), meter("4", "l-mag")]
    config = checked(drafted(meters, PORT, {"3": "a" * 32, "4": "a" * 32}), tmp_path)
    assert len(config.meters) == 2
