"""`qushui probe` and `qushui profiles new`: from the number on a display to a profile that passes its own test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent.cli.main import main
from tests.system.station import Site


class Said(NamedTuple):
    status: int
    out: str
    err: str


Say = Callable[..., Said]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A bus with one meter of each protocol; a Modbus TCP meter; all on simulators, no daemon."""
    with Site(tmp_path_factory.mktemp("probe")) as site:
        site.serial("bus", baud=2400, latency="10ms")
        site.tcp("lan")
        values = {"flow_rate": "12.5", "volume_forward": "1234.56"}
        site.meter("flow", "bus", "tuf2000", 3, values=values)
        site.meter("far-flow", "lan", "tuf2000", 1, values=dict(values))
        site.meter("pump", "bus", "dlt645-2007", values={"energy_import": "1234.56"})
        site.meter("water", "bus", "cjt188-cold-2004", values={"volume_forward": "123.45"})
        for name, address in (("pump", "000000000012"), ("water", "00000005120001")):
            for side in (site.meters, site.far_meters):
                side[name]["address"] = address
        for name in ("flow", "pump", "water"):
            site.meters[name] |= {"baud": 2400, "parity": "none"}
            site.far_meters[name] |= {"baud": 2400, "parity": "none"}
        site.write()
        site.start_meters()
        yield site


@pytest.fixture
def say(site: Site, capsys: pytest.CaptureFixture[str]) -> Say:
    def said(*words: str, lang: str = "en") -> Said:
        status = main([*words, "-c", str(site.config), "--lang", lang])
        return Said(status, *capsys.readouterr())

    return said


def probe(say: Say, path: Path, *words: str) -> dict[str, Any]:
    said = say("probe", *words, "--json")
    assert said.status == 0, said.err
    path.write_text(said.out, encoding="utf-8")
    document: dict[str, Any] = json.loads(said.out)
    return document


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_registers_that_are_the_display_are_marked(say: Say, lang: str) -> None:
    said = say("probe", "flow", "--from", "0", "--count", "16", "--shows", "1234.56", lang=lang)
    assert said.status == 0
    assert "holding 8  u32 cdab + f32 cdab" in said.out
    assert "◀" in said.out
    assert "profiles new" in said.err


def test_refused_places_are_left_out(say: Say) -> None:
    said = say("probe", "flow", "--from", "0", "--count", "8")
    assert "holding 0" in said.out
    assert "holding 2 " not in said.out, "this meter has no register 2"
    assert "refused" in said.err
    assert say("probe", "flow", "--from", "5000", "--count", "4").status == 1


@pytest.mark.parametrize("meter", ["flow", "far-flow"])
def test_a_profile_begins_with_what_probes_have_found(say: Say, site: Site, tmp_path: Path, meter: str) -> None:
    probe(say, tmp_path / "flow.json", meter, "--count", "2", "--shows", "12.5", "--quantity", "flow_rate")
    total = ("--from", "8", "--count", "4", "--shows", "1234.56")
    probe(say, tmp_path / "total.json", meter, *total)
    files = ("--from-probe", str(tmp_path / "flow.json"), "--from-probe", str(tmp_path / "total.json"))
    unnamed = say("profiles", "new", "site-meter", *files)
    assert unnamed.status == 2
    assert "--quantity" in unnamed.err
    probe(say, tmp_path / "total.json", meter, *total, "--quantity", "volume_forward")
    started = say("profiles", "new", "site-meter", *files)
    assert started.status == 0, started.err
    (site.directory / "profiles" / "site-meter.yaml").write_text(started.out, encoding="utf-8")
    tested = say("profiles", "test", "site-meter")
    assert tested.status == 0, tested.out + tested.err
    assert "flow_rate 12.5" in tested.out
    assert "volume_forward 1234.56" in tested.out


IDENTIFIERS = {"pump": ("00010000", "1234.56", "energy_import"), "water": ("901F", "123.45", "volume_forward")}


@pytest.mark.parametrize("meter", IDENTIFIERS)
def test_the_same_for_data_identifiers(say: Say, site: Site, tmp_path: Path, meter: str) -> None:
    identifier, shows, quantity = IDENTIFIERS[meter]
    probe(say, tmp_path / "one.json", meter, "--id", identifier, "--shows", shows, "--quantity", quantity)
    started = say("profiles", "new", f"site-{meter}", "--from-probe", str(tmp_path / "one.json"))
    assert started.status == 0, started.err
    (site.directory / "profiles" / f"site-{meter}.yaml").write_text(started.out, encoding="utf-8")
    tested = say("profiles", "test", f"site-{meter}")
    assert tested.status == 0, tested.out + tested.err
    assert f"{quantity} {shows}" in tested.out


@pytest.mark.parametrize(
    "words",
    [
        (), ("nobody",), ("--line", "bus"), ("--line", "nowhere", "--address", "1"), ("flow", "--from", "65530"),
        ("flow", "--shows", "much"), ("--line", "bus", "--address", "999"), ("pump", "--id", "zz"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(say: Say, words: tuple[str, ...]) -> None:
    said = say("probe", *words)
    assert said.status == 2
    assert said.err
    assert "form." not in said.err


def test_nothing_fits_and_nobody_answers_are_told(say: Say) -> None:
    said = say("probe", "flow", "--count", "2", "--shows", "777.77")
    assert said.status == 1
    assert "Nothing here is 777.77" in said.err
    silent = say("probe", "--line", "bus", "--address", "99", "--baud", "2400")
    assert silent.status == 1
    assert "qushui scan" in silent.err


def test_what_is_no_probe_makes_no_profile(say: Say, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]", encoding="utf-8")
    for words in ((str(tmp_path / "x.json"),), (str(tmp_path / "none.json"),)):
        said = say("profiles", "new", "x", "--from-probe", *words)
        assert said.status == 2
        assert "is no result of qushui probe" in said.err
