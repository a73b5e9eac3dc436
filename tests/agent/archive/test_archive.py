"""The metering archive: complete or not, agreeing with the configuration, versioned by what it says."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest

from agent.archive.checking import Remark, certificate_of, missing, remarks
from agent.archive.record import archive_entries, next_version, sha256_of
from agent.config import copy_of, load, load_copy
from agent.documents import archive_schema
from agent.form.problems import FormErrors
from agent.messages import LANGUAGES, Messages, problem_lines
from agent.settings import Config
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = (ROOT / "config" / "archive.example.yaml").read_text(encoding="utf-8")
SITE = """\
station: {id: a}
lines: {bus: {port: /dev/ttyUSB0}}
meters:
  flow: {line: bus, profile: tuf2000, address: "1", poll: 60s}
  kwh: {line: bus, profile: eastron-sdm630, address: "2", poll: 60s}
intakes:
  w:
    code: "43"
    archive: w.yaml
    water: {meter: flow}
"""
CONVERTED = SITE.replace("{meter: flow}", "{electricity: kwh, coefficient: W7, rated_kw: 15, ct: 100/5}")
TODAY = date(2026, 11, 21)


def loaded(text: str, archive: str) -> Config:
    return load(
        Path("/site/agent.yaml"), text=text, archive_texts={"w": archive}, drivers=DRIVERS,
        uplink_settings=settings_models(),
    )  # fmt: skip


def found(text: str, archive: str) -> list[tuple[str, int, str, str]]:
    with pytest.raises(FormErrors) as caught:
        loaded(text, archive)
    for lang in LANGUAGES:
        assert not any("form." in line for line in problem_lines(Messages(lang), caught.value.problems))
    return [(each.file, each.line, each.path, each.code) for each in caught.value.problems]


def said(archive: str, today: date = TODAY) -> dict[str, Remark]:
    return {each.code: each for each in remarks(loaded(SITE, archive).archives["w"].data, today)}


def test_the_example_is_complete_and_agrees_with_the_example_of_a_configuration(tmp_path: Path) -> None:
    text = (ROOT / "config" / "agent.example.yaml").read_text(encoding="utf-8")
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "well-3.yaml").write_text(EXAMPLE, encoding="utf-8")
    named = text.replace("# archive: archives/well-3.yaml", "archive: archives/well-3.yaml")
    assert named != text
    config = load(tmp_path / "agent.yaml", text=named, drivers=DRIVERS, uplink_settings=settings_models())
    assert list(remarks(config.archives["well-3"].data, TODAY)) == []
    one = config.intakes["well-3"]
    assert (one.pipe.dn_mm, one.range.q4_m3h, one.water[0].serial) == (150, 125, "TUF-26-0417")
    assert one.energy is not None
    assert one.energy.serial == "000000000012"


def test_the_example_is_what_the_schema_for_editors_accepts() -> None:
    validator = jsonschema.Draft202012Validator(archive_schema())
    data = loaded(SITE, EXAMPLE.replace("4302810001", "43")).archives["w"].data
    assert list(validator.iter_errors(data)) == []
    assert list(validator.iter_errors({**data, "histroy": []}))
    assert list(validator.iter_errors({**data, "metering": {"class": 2}}))


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        ("point: {cod: '43'}", (1, "point.cod", "unknown-key")),
        ("point: {code: '44'}", (1, "point.code", "archive-differs")),
        ("point: {lon_lat: [28.2, 112.9]}", (1, "point.lon_lat", "lon-lat")),
        ("metering: {cert: {date: 2026-04-17, valid_to: 2026-04-16}}", (1, "metering.cert.valid_to", "ends-before")),
        ("metering: {range: {q1: 1, q3: 100, q4: 12}}", (1, "metering.range.q4", "below")),
        ("holder: {contact: {phone: 13800000000}}", (1, "holder.contact.phone", "quote")),
        ("metering: {class: 2}", (1, "metering.class", "quote")),
        ("metering: {cert: {sha256: abc}}", (1, "metering.cert.sha256", "sha256")),
        ("metering: {way: direct}", (1, "metering.way", "choice")),
        ("metering: {class: }", (1, "metering.class", "nothing")),
        ("intake: {source_type: surface}", (1, "intake.source_type", "archive-differs")),
        ("permit: {plan_m3: {year: 2026, quarters: [1, 2]}}", (1, "permit.plan_m3.quarters", "too-few")),
        ("history: [{date: 2026-01-01, event: swap}]", (1, "history[0].reason", "missing")),
    ],
)
def test_every_mistake_in_an_archive_is_named_in_its_file(archive: str, expected: tuple[int, str, str]) -> None:
    assert found(SITE, archive) == [("/site/w.yaml", *expected)]


@pytest.mark.parametrize(
    ("electricity", "path"),
    [
        ("{ct: 75/5}", "electricity.ct"),
        ("{ct: 100/5, multiplier: 1}", "electricity.multiplier"),
        ("{multiplier: 1}", "electricity.multiplier"),
        ("{digits: 7}", "electricity.digits"),
        ("{decimals: 1}", "electricity.decimals"),
        ("{register_is_primary: true}", "electricity.register_is_primary"),
        ("{pt: 10000/100}", "electricity.pt"),
        ("{coefficient: W8@1}", "electricity.coefficient"),
    ],
)
def test_water_that_nobody_withdrew_is_refused_with_both_numbers(electricity: str, path: str) -> None:
    """CT ratio, multiplier and digits are in the archive and in the configuration: both must say the same."""
    with pytest.raises(FormErrors) as caught:
        loaded(CONVERTED, f"electricity: {electricity}\n")
    assert {each.path for each in caught.value.problems} == {path}
    differs = [each for each in caught.value.problems if each.code == "archive-differs"]
    assert all(each.arguments["key"].startswith("intakes.w.water.") for each in differs)


def test_what_agrees_passes_however_it_is_written() -> None:
    text = "electricity: {ct: 200/10, pt: 1, multiplier: 20.0, digits: 6, decimals: 2, coefficient: W7@4}\n"
    assert loaded(CONVERTED, text).archives["w"].data["electricity"]["ct"] == "200/10"


def test_a_mistake_in_the_archive_hides_no_disagreement() -> None:
    archive = "point: {code: '44'}\nhistroy: []\nelectricity: {ct: 75/5, digits: x}\n"
    assert [(line, path, code) for _, line, path, code in found(CONVERTED, archive)] == [
        (1, "point.code", "archive-differs"),
        (2, "histroy", "unknown-key"),
        (3, "electricity.digits", "whole"),
    ]


def test_an_archive_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FormErrors) as caught:
        load(tmp_path / "agent.yaml", text=SITE, drivers=DRIVERS, uplink_settings=settings_models())
    assert [(each.file, each.code) for each in caught.value.problems] == [(str(tmp_path / "w.yaml"), "file-missing")]


def test_one_archive_belongs_to_one_intake() -> None:
    text = SITE + "  v: {code: '44', archive: w.yaml, water: {meter: kwh}}\n"
    assert ("intakes.v.archive", "archive-taken") in [(path, code) for _, _, path, code in found(text, "point: {}")]


def test_an_archive_completes_the_configuration() -> None:
    archive = """\
metering:
  pipe: {dn_mm: 100, up_cm: 100}
  meter_type: remote_meter
  range: {q1: 0.1, q3: 10}
  serial: "S-1"
  cert: {no: "c", date: 2025-03-01}
"""
    one = loaded(SITE.replace("water:", "pipe: {up_cm: 100}\n    water:"), archive).intakes["w"]
    assert (one.pipe.dn_mm, one.pipe.up_cm, one.range.q3_m3h, one.range.q4_m3h) == (100, 100, 10, Decimal("12.5"))
    assert one.water[0].serial == "S-1"
    assert one.water[0].certificate is not None
    assert one.water[0].certificate.valid_until == date(2027, 2, 28)


def test_what_the_platform_asks_for_depends_on_how_it_is_metered() -> None:
    assert "metering.pipe.dn_mm" in missing({"metering": {"way": "direct_online"}})
    assert "electricity.ct" not in missing({"metering": {"way": "direct_online"}})
    assert "metering.pipe.dn_mm" not in missing({"metering": {"way": "electricity"}})
    assert "electricity.ct" in missing({"metering": {"way": "electricity"}})
    assert "permit.no" not in missing({"permit": {"no": "x"}})


@pytest.mark.parametrize(
    ("pipe", "more", "limits"),
    [
        ("{dn_mm: 150, up_cm: 150, down_cm: 75}", "", []),  # 10 and 5 diameters, guideline sheet §3
        ("{dn_mm: 150, up_cm: 149, down_cm: 74}", "", ["150", "75"]),
        ("{dn_mm: 150, up_cm: 75, down_cm: 45}", "meter_type: electromagnetic", []),  # 5 and 3
        ("{dn_mm: 150, up_cm: 74, down_cm: 45}", "meter_type: electromagnetic", ["75"]),
        ("{dn_mm: 150, up_cm: 299, down_cm: 75}", "straight: {up_dn: 20, down_dn: 5}", ["300"]),
        ("{up_cm: 1}", "", []),
    ],
)
def test_a_straight_pipe_too_short_for_its_meter_is_said(pipe: str, more: str, limits: list[str]) -> None:
    data = loaded(SITE, f"metering:\n  pipe: {pipe}\n  {more}\n").archives["w"].data
    assert [each.arguments["limit"] for each in remarks(data, TODAY) if each.code == "straight"] == limits


@pytest.mark.parametrize(
    ("cert", "code", "is_wrong"),
    [
        ("{valid_to: 2027-11-21}", None, False),
        ("{valid_to: 2027-01-20}", None, False),
        ("{valid_to: 2027-01-19}", "certificate-due-soon", False),
        ("{valid_to: 2026-11-21}", "certificate-due-soon", False),
        ("{valid_to: 2026-11-20}", "certificate-overdue", True),
        ("{valid_to: 2026-05-25}", "certificate-overdue", True),
        ("{valid_to: 2026-05-24}", "certificate-overdue-long", True),
        ("{no: x}", "certificate-unknown", True),
        ("{date: 2023-11-22, valid_to: 2028-01-01}", None, False),  # its own word wins over two years
        ("{date: 2024-11-21}", "certificate-overdue", True),  # two years
    ],
)
def test_a_certificate_counts_until_its_own_last_day(cert: str, code: str | None, is_wrong: bool) -> None:
    """Guideline sheet §4: due soon 60 days before, overdue after, long overdue more than 180 days after."""
    told = {key: each for key, each in said(f"metering: {{cert: {cert}}}").items() if key.startswith("certificate")}
    assert list(told) == ([] if code is None else [code])
    assert [each.is_wrong for each in told.values()] == ([] if code is None else [is_wrong])


@pytest.mark.parametrize(
    ("metering", "last"),
    [
        ("meter_type: remote_meter, pipe: {dn_mm: 25}, range: {q3: 6.3}", date(2029, 2, 28)),  # 6 years
        ("meter_type: remote_meter, pipe: {dn_mm: 40}, range: {q3: 16}", date(2027, 2, 28)),  # 4
        ("meter_type: remote_meter, pipe: {dn_mm: 40}, range: {q3: 25}", date(2025, 2, 28)),  # 2
        ("meter_type: remote_meter, pipe: {dn_mm: 80}, range: {q3: 16}", date(2025, 2, 28)),
        ("meter_type: electromagnetic, pipe: {dn_mm: 25}, range: {q3: 6.3}", date(2025, 2, 28)),
        ("meter_type: ultrasonic_transit, mounting: insertion", date(2024, 2, 29)),  # 1
    ],
)
def test_a_certificate_without_an_end_lasts_as_long_as_its_kind(metering: str, last: date) -> None:
    data = loaded(SITE, f"metering: {{{metering}, cert: {{date: 2023-03-01}}}}\n").archives["w"].data
    certificate = certificate_of(data)
    assert certificate is not None
    assert certificate.valid_until == last


def test_a_new_meter_may_wait_for_its_certificate() -> None:
    assert said("metering: {installed: {date: 2026-08-23}}")["certificate-unknown"].code
    assert said("metering: {installed: {date: 2026-08-22}}")["certificate-overdue"].is_wrong


def test_the_same_content_is_the_same_version_however_it_is_written() -> None:
    one = loaded(SITE, "point: {name: 井, lon_lat: [112.90, 28]}\nmetering: {range: {q3: 100.0}}\n").archives["w"]
    other = loaded(SITE, "metering:\n  range: {q3: 100}\npoint: {lon_lat: [112.9, 28.0], name: 井}\n").archives["w"]
    assert sha256_of(one.data) == sha256_of(other.data)
    assert one.data["point"] == {"name": "井", "lon_lat": ["112.9", "28"]}


def test_every_change_is_a_new_version_and_nothing_else_is() -> None:
    first = next_version(None, {"point": {"name": "a"}})
    assert first == {"version": 1, "archive": {"point": {"name": "a"}}}
    assert next_version(first, {"point": {"name": "a"}}) is None
    assert next_version(first, {"point": {"name": "b"}}) == {"version": 2, "archive": {"point": {"name": "b"}}}
    config = loaded(SITE, "point: {name: a}\n")
    assert archive_entries(config, {}) == [("w", first)]
    assert archive_entries(config, {"w": first}) == []


def test_archives_outlive_their_files() -> None:
    config = loaded(SITE, EXAMPLE.replace("4302810001", "43"))
    again = load_copy(copy_of(config), Path("/site/agent.yaml"), drivers=DRIVERS, uplink_settings=settings_models())
    assert again == config
    assert again.archives["w"].data["point"]["name"] == "三号井"
