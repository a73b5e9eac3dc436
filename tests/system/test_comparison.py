"""A number typed from the display: recorded by the daemon or without it, for good, until the profile changes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.cli.main import main
from tests.system.processes import until
from tests.system.station import Site

PACKAGED = Path(__file__).parents[2] / "config" / "profiles" / "tuf2000.yaml"
TOTALS = {"volume_forward", "volume_reverse", "volume_net"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path, poll="300ms") as site:
        site.tcp("lan")
        site.meter("main-flow", "lan", "tuf2000", values={"volume_forward": "1234.567", "flow_rate": "12.5"})
        site.write()
        site.start_meters()
        yield site


def read(site: Site, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, dict[str, object]]]:
    status = main(["read", "main-flow", *words, "--json", "-c", str(site.config)])
    (result,) = json.loads(capsys.readouterr().out)
    return status, result


def unconfirmed(site: Site) -> set[str]:
    """What is UNCONFIRMED in the newest round."""
    newest = site.stored()[-1]
    return {name for name, reasons in (newest.quality or {}).items() if "UNCONFIRMED" in reasons}


def rows(site: Site) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(site.database)) as connection:
        query = "SELECT meter, quantity, shown, read, length(who) > 0 FROM confirmation ORDER BY id"
        return connection.execute(query).fetchall()


def test_rounds_are_unconfirmed_until_the_display_has_agreed_and_no_kill_forgets_it(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = site.start_daemon().ready()
    site.grows(1)
    assert unconfirmed(site) == TOTALS

    status, result = read(site, capsys, "--shows", "1234.9")
    assert (status, result["comparison"]["matched"], rows(site)) == (1, [], [])
    status, result = read(site, capsys, "--shows", "1234.5")
    assert (status, result["quality"]) == (0, {})
    assert result["comparison"]["confirmed"] == ["volume_forward"]
    daemon.kill()
    assert rows(site) == [("main-flow", "volume_forward", "1234.5", "1234.567", 1)]

    site.start_daemon().ready()
    site.grows(2)
    assert unconfirmed(site) == set()


def test_without_a_daemon_the_number_is_kept_in_the_store_and_another_version_is_open_again(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    status, result = read(site, capsys)
    assert (status, set(result["quality"])) == (0, TOTALS)
    assert main(["read", "main-flow", "--shows", "1234.57", "--lang", "en", "-c", str(site.config)]) == 0
    assert "Confirmed and kept: forward volume." in capsys.readouterr().out
    assert read(site, capsys)[1]["quality"] == {}

    changed = PACKAGED.read_text(encoding="utf-8").replace("range: [-32, 32]", "range: [-30, 30]")
    (site.directory / "profiles" / "tuf2000.yaml").write_text(changed, encoding="utf-8")
    assert read(site, capsys)[1]["quality"].keys() == TOTALS
    assert len(rows(site)) == 1

    site.start_daemon().ready()
    until(lambda: len(site.stored()) > 0, 20, "the daemon takes up the same file")
    assert unconfirmed(site) == TOTALS


@pytest.mark.parametrize(
    "words", [("--all", "--shows", "1"), ("main-flow", "--shows", "0"), ("main-flow", "--shows", "x")]
)
def test_a_display_belongs_to_one_meter_and_shows_a_number(site: Site, words: tuple[str, ...]) -> None:
    assert main(["read", *words, "-c", str(site.config)]) == 2
