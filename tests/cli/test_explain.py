"""`qushui explain` follows figures down to the bytes, says what is gone, and guesses nothing."""

from __future__ import annotations

import json
import sqlite3
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.model import INTAKE, Layout, Round
from agent.store.store import Store
from tests.bookkept import HOUR_MS, STEP_MS, Books, ms
from tests.fakes import FakeClock, QuietLog

DAY = "2026-06-28"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return Books(tmp_path_factory.mktemp("books"), end=date(2026, 7, 3))


@pytest.fixture
def books(kept: Books, tmp_path: Path) -> Books:
    return kept.copied(tmp_path)


def explain(books: Books, capsys: pytest.CaptureFixture[str], figure: str, *words: str) -> dict:
    assert main(["explain", figure, "-c", str(books.config), "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def refused(books: Books, capsys: pytest.CaptureFixture[str], figure: str) -> tuple[int, str]:
    status = main(["explain", figure, "-c", str(books.config), "--lang", "en"])
    return status, capsys.readouterr().err


def epoch(books: Books) -> str:
    return books.rows("SELECT epoch FROM epoch")[0][0]


def derive(books: Books, proof: dict) -> str:
    """Stores a reading of the intake with this proof, as its account does; gives its id."""
    clock = FakeClock(boot_s=1e6, offset_ms=ms(DAY))
    store = Store(books.path, clock=clock, log=QuietLog(), keep_s=10**9, max_bytes=4 << 30, free_bytes=0)
    store.open()
    form = Layout(
        meter="well-3", profile=INTAKE, version="0a1b2c3d", protocol=INTAKE, address="4302810001",
        quantities=("flow_rate", "volume_withdrawn"), flags=(), period_ms=STEP_MS, requests=(b"",),
    )  # fmt: skip
    text = json.dumps(proof, sort_keys=True, separators=(",", ":"))
    number = store.append(
        Round(layout=form, boot_ms=8 * HOUR_MS, values=(None, Decimal("1188.5")), quality={"flow_rate": ("GAP",)},
              raw=(text.encode(),))
    )  # fmt: skip
    store.commit(every=True)
    store.close()
    return f"{epoch(books)}-{number}"


def test_a_meters_reading_leads_to_the_bytes_that_make_it(books: Books, capsys) -> None:
    told = explain(books, capsys, f"pump-kwh@{DAY}T08:00")
    (step,) = told["decoded"]
    assert told["values"] == {"energy_import": {"value": "1001.2125", "quality": []}}  # 15 kW from 6:00 to 7:37, CT 20
    assert (step["quantity"], step["value"]) == ("energy_import", "1001.2125")
    assert step["items"] == [
        {"item": "input 72 f32", "bytes": "447a4d9a", "raw": "1001.2125", "role": "part", "scale": "1"}
    ]
    (exchange,) = told["exchanges"]
    assert exchange["request"] == "02040048 0002f1ee".replace(" ", "")
    assert "447a4d9a" in exchange["reply"]
    assert told["seal"]["first"] <= int(told["id"].split("-")[1]) <= told["seal"]["last"]


def test_a_reading_is_found_by_its_id_its_quantity_or_its_time(books: Books, capsys) -> None:
    by_time = explain(books, capsys, f"pump-kwh@{DAY} 08:00")
    assert explain(books, capsys, by_time["id"]) == by_time
    assert explain(books, capsys, by_time["id"] + "/energy_import") == by_time
    assert explain(books, capsys, f"pump-kwh@{DAY}T00:00:00+00:00") == by_time


def test_a_round_read_with_another_version_of_its_profile_is_not_taken_apart(books: Books, capsys) -> None:
    found = explain(books, capsys, f"pump-kwh@{DAY}T08:00")
    connection = sqlite3.connect(books.path)
    connection.execute("UPDATE layout SET version = 'ffffffff' WHERE meter = 'pump-kwh'")
    connection.commit()
    connection.close()
    told = explain(books, capsys, found["id"])
    assert (told["profile_known"], told["exchanges"]) == (False, found["exchanges"])
    assert "decoded" not in told


def test_an_intakes_reading_leads_to_its_rounds_coefficient_and_declarations(books: Books, capsys) -> None:
    first, second = (explain(books, capsys, f"pump-kwh@{DAY}T{at}")["id"] for at in ("07:00", "08:00"))
    books.declare("replacement", "pump-kwh", ms(f"{DAY}T07:10"), {"old_final": "5"})
    books.declare("replacement", "pump-kwh", ms("2026-06-29T07:10"), {"old_final": "6"})
    proof = {
        "form": 1, "origin": "derived", "from": first, "to": second, "volume": "33.000000", "energy": "15.0000",
        "registers": {"pump-kwh": {"from": "1000.4625", "to": "1001.2125", "multiplier": "20"}},
        "coefficient": "W7@4", "model": "fixed", "software": "0.0.9", "qc": 1, "flags": ["GAP"],
    }  # fmt: skip
    told = explain(books, capsys, derive(books, proof))
    assert (told["origin"], told["software"], told["settings_version"]) == ("derived", "0.0.9", "0a1b2c3d")
    assert told["values"]["flow_rate"] == {"value": None, "quality": ["GAP"]}
    assert [each["id"] for each in told["rests_on"]] == [first, second]
    assert [each["decoded"][0]["value"] for each in told["rests_on"]] == ["1000.4625", "1001.2125"]
    assert [(each["name"], each["body"]["params"]) for each in told["coefficients"]] == [("W7@4", {"tc": "2.20"})]
    assert [each["body"]["old_final"] for each in told["declarations"]] == ["5"]
    assert explain(books, capsys, f"well-3@{DAY}T08:00")["id"] == told["id"]


def test_a_closing_leads_to_the_readings_of_every_register_around_it(books: Books, capsys) -> None:
    first, second = (explain(books, capsys, f"pump-kwh@{DAY}T{at}")["id"] for at in ("07:00", "08:00"))
    ends = {"before": {"id": first, "at_ms": 1, "register": "1"}, "after": {"id": second, "at_ms": 2, "register": "2"}}
    proof = {
        "form": 1, "origin": "derived", "method": "interpolated", "registers": {"pump-kwh": ends}, "software": "0.1.0",
        "before": {"id": first, "at_ms": 1, "total": "1"}, "after": {"id": second, "at_ms": 2, "total": "2"},
    }  # fmt: skip
    told = explain(books, capsys, derive(books, proof))
    assert [each["id"] for each in told["rests_on"]] == [first, second]


def test_a_periods_volume_leads_to_its_boundaries_and_their_rounds(books: Books, capsys) -> None:
    told = explain(books, capsys, "well-3:2026-07-01")
    assert told["volume_m3"] == "396.000000"  # 12 h of 15 kW at 2.20 m³/kWh
    assert [(each["name"], Decimal(each["volume_m3"])) for each in told["coefficients"]] == [("W7@4", 396)]
    assert [each["at_ms"] for each in told["rests_on"]] == [ms("2026-07-01T00:00"), ms("2026-07-02T00:00")]
    rounds = [each for boundary in told["rests_on"] for each in boundary["rests_on"]]
    assert [each["kind"] for each in rounds] == ["round"] * 4
    assert all("decoded" not in each for each in rounds)
    deep = explain(books, capsys, "well-3:2026-07-01", "--deep")
    assert [each["decoded"][0]["value"] for each in deep["rests_on"][0]["rests_on"]] == ["1027", "1027"]


def test_a_round_that_retention_took_is_named_with_its_hash(books: Books, capsys) -> None:
    found = explain(books, capsys, f"pump-kwh@{DAY}T08:00")
    number, seal = int(found["id"].split("-")[1]), found["seal"]
    connection = sqlite3.connect(books.path)
    digests = bytes(32 * (number - seal["first"])) + b"\xab" * 32 + bytes(32 * (seal["last"] - number))
    connection.execute("INSERT OR REPLACE INTO proof VALUES (?, ?)", (seal["id"], digests))
    connection.execute("DELETE FROM round WHERE number = ?", (number,))
    connection.commit()
    connection.close()
    told = explain(books, capsys, found["id"])
    assert told == {"kind": "gone", "id": found["id"], "seal": seal, "sha256": "ab" * 32}
    assert main(["explain", found["id"], "-c", str(books.config), "--lang", "en"]) == 0
    assert "no longer stored" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("figure", "status", "words"),
    [
        ("nonsense", 2, "neither"),
        ("pump-kwh@yesterday", 2, "no time"),
        ("well-3:2026Q9", 2, "no quarter"),
        ("well-3:2031Q1", 1, "no closed hours"),
        ("nobody@2026-07-01T00:00", 1, "no dated round"),
        ("00000000-999999999", 1, "no round"),
    ],
)
def test_what_is_no_figure_is_refused_in_words(books: Books, capsys, figure: str, status: int, words: str) -> None:
    told = refused(books, capsys, figure)
    assert told[0] == status
    assert words in told[1]


@pytest.mark.parametrize(("lang", "words"), [("zh", "无值 GAP 其间没有读数"), ("en", "GAP no readings in between")])
def test_why_there_is_no_value_is_said_in_words(books: Books, capsys, lang: str, words: str) -> None:
    figure = derive(books, {"form": 1, "origin": "derived", "flags": ["GAP", "GAP"], "software": "0.1.0"})
    assert main(["explain", figure, "-c", str(books.config), "--lang", lang]) == 0
    out = capsys.readouterr().out
    assert words in out
    assert out.count("GAP") == 2  # behind the value and among the flags, once each


def test_a_quantity_that_the_round_does_not_have_is_refused(books: Books, capsys) -> None:
    found = explain(books, capsys, f"pump-kwh@{DAY}T08:00")
    assert refused(books, capsys, found["id"] + "/flow_rate")[0] == 1


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("figure", ["pump-kwh@2026-06-28T08:00", "well-3:2026-07-01"])
def test_everything_is_told_in_words_of_the_language(books: Books, capsys, figure: str, lang: str) -> None:
    assert main(["explain", figure, "-c", str(books.config), "--deep", "--lang", lang]) == 0
    out = capsys.readouterr().out
    assert "explain." not in out
    assert "{" not in out
    assert ("封存" if lang == "zh" else "seal ") in out
