"""The figures of `qushui outbox` add up, whatever was acknowledged, rejected, undated or removed. Real store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.cli.outbox import outbox_of
from tests.agent.store.conftest import Site, fill, site
from tests.fakes import START_MS, FakeClock

__all__ = ["site"]  # the fixture


def config_of(site: Site) -> Path:
    path = site.path.parent / "agent.yaml"
    path.write_text(f"station: {{timezone: Asia/Shanghai}}\nstore: {{path: {site.path}}}\n", encoding="utf-8")
    return path


def test_stored_is_acknowledged_plus_waiting_plus_parked(site: Site) -> None:
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 3)  # before the platform was configured: never its own
    store.begin_cursor("cloud")
    fill(store, 10)
    store.park("cloud", 6, "TOO_LARGE 70000 > 60000")
    store.keep_cursor("cloud", ((8, 9), (12, None)))
    store.commit(every=True)
    told = outbox_of(site.reader())
    cloud = told["uplinks"]["cloud"]
    assert (cloud["stored"], cloud["waiting"], len(cloud["parked"]), cloud["acknowledged"]) == (10, 4, 1, 5)
    assert told["store"]["rounds"] == 13
    assert [(gap["first"], gap["last"], gap["rounds"]) for gap in cloud["gaps"]] == [(8, 9, 2), (12, 13, 2)]
    assert [(gap["from_ms"], gap["to_ms"]) for gap in cloud["gaps"]] == [
        (START_MS + 8000, START_MS + 9000),
        (START_MS + 12000, START_MS + 13000),
    ]
    assert cloud["parked"] == [{"number": 6, "reason": "TOO_LARGE 70000 > 60000"}]


def test_nothing_stored_is_nothing_owed(site: Site) -> None:
    store = site.open()
    store.begin_cursor("cloud")
    store.commit(every=True)
    told = outbox_of(site.reader())
    assert told["store"]["rounds"] == 0
    assert told["uplinks"]["cloud"]["waiting"] == 0
    assert told["uplinks"]["cloud"]["gaps"] == []


def test_rounds_of_an_unset_clock_are_shown_as_such(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    store = site.open(clock=FakeClock(synced=False))
    store.begin_cursor("cloud")
    fill(store, 4)
    store.commit(every=True)
    site.close()
    assert main(["outbox", "-c", str(config_of(site)), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["store"]["undated"] == 4
    assert told["uplinks"]["cloud"]["gaps"][0]["from_ms"] is None
    assert main(["outbox", "-c", str(config_of(site)), "--lang", "en"]) == 0
    out = capsys.readouterr().out
    assert "4 of them have no date" in out
    assert "no date to no date" in out


@pytest.mark.parametrize(("lang", "reason"), [("zh", "报文对平台来说太大"), ("en", "too large")])
def test_a_rejected_round_has_its_reason_in_words(
    site: Site, capsys: pytest.CaptureFixture[str], lang: str, reason: str
) -> None:
    store = site.open()
    store.begin_cursor("cloud")
    fill(store, 20)
    for number in range(1, 15):
        store.park("cloud", number, "TOO_LARGE 70000 > 60000")
    store.keep_cursor("cloud", ((21, None),))
    store.commit(every=True)
    site.close()
    assert main(["outbox", "-c", str(config_of(site)), "--lang", lang]) == 0
    out = capsys.readouterr().out
    assert reason in out
    assert "qushui outbox retry cloud" in out
    assert out.count("70000") == 10  # and how many more there are


def test_the_queue_of_a_removed_platform_is_still_shown(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    store = site.open()
    for name in ("old", "new"):
        store.begin_cursor(name)
    fill(store, 2)
    store.drop("new")
    store.commit(every=True)
    site.close()
    assert main(["outbox", "-c", str(config_of(site)), "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["uplinks"]) == ["old"]


def test_a_file_that_is_no_database_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "qushui.db").write_bytes(b"not a database at all, but long enough to look at" * 100)
    config = tmp_path / "agent.yaml"
    config.write_text(f"store: {{path: {tmp_path}/qushui.db}}\n", encoding="utf-8")
    assert main(["outbox", "-c", str(config), "--lang", "en"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "cannot be read" in output.err
