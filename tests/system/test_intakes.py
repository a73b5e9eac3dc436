"""An intake over a real daemon: from a simulated meter's register to water over MQTT and in `status`."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path

from agent.model import INTAKE, StoredRound
from agent.store.book_reader import BookReader
from tests.system.processes import Daemon, Meters, until
from tests.system.station import Site

KILLS = 3


def _site(directory: Path) -> Site:
    site = Site(directory, poll="200ms")
    site.profile("water", {"volume_forward": 0, "flow_rate": 1})
    site.tcp("lan")
    site.meter("main-flow", "lan", "water", values={"volume_forward": "1000", "flow_rate": "5"})
    site.intakes["well-3"] = {"code": "4302810001", "source": "ground", "water": {"meter": "main-flow", "step_m3": 1}}
    site.write()
    return site


def _derived(site: Site) -> list[StoredRound]:
    """The intake's readings, closings left out."""
    found = [one for one in site.stored() if one.layout.protocol == INTAKE]
    return [one for one in found if "flow_rate" in one.layout.quantities]


def _total(one: StoredRound) -> str | None:
    return one.texts[one.layout.quantities.index("volume_withdrawn")]


def _counts(meters: Meters, site: Site, register: int) -> None:
    """The meter's register stands at `register`, and the store knows."""
    meters.order(meter="main-flow", set={"volume_forward": register})
    until(
        lambda: any(one.layout.meter == "main-flow" and one.texts[0] == str(register) for one in site.stored()[-20:]),
        20,
        f"{register} is read",
    )


def _settled(site: Site, total: int) -> None:
    until(lambda: _newest(site) == total, 20, f"the intake's total is {total}")


def _newest(site: Site) -> Decimal | None:
    if not site.committed():
        return None
    text = next((text for one in reversed(_derived(site)) if (text := _total(one)) is not None), None)
    return None if text is None else Decimal(text)


def test_an_intakes_total_is_exact_over_mqtt_and_in_status_however_often_the_daemon_is_killed(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        meters = site.start_meters()
        site.start_broker()
        collector = site.start_collector()
        _counts_through_kills(site, meters)
        daemon = site.start_daemon().ready()
        meters.order(meter="main-flow", set={"volume_forward": 1000 + 10 * KILLS})
        _settled(site, 10 * KILLS)
        told = daemon.status()["intakes"]["well-3"]
        assert told["state"] == "live"
        assert Decimal(told["values"]["volume_withdrawn"]) == 10 * KILLS
        assert Decimal(told["today_m3"]) == 10 * KILLS
        assert daemon.stop() == 0
        delivery = site.delivery(collector)
        assert not delivery.missing
        water = [one for one in collector.rounds() if one["meter"] == "well-3"]
        assert {one["id"] for one in water} >= {one.id for one in _derived(site)}
        assert all(one["origin"] == "measured" for one in water)


def _counts_through_kills(site: Site, meters: Meters) -> None:
    """Ten cubic metres before each kill, none of which may be lost or counted twice."""
    for turn in range(KILLS):
        daemon = site.start_daemon()
        meters.order(meter="main-flow", set={"volume_forward": 1000 + 10 * turn})
        _settled(site, 10 * turn)
        time.sleep(0.1)
        daemon.kill()
        totals = [Decimal(text) for one in _derived(site) if (text := _total(one)) is not None]
        assert totals == sorted(totals)
        causes = [one.proof for one in _derived(site)]
        assert len(set(causes)) == len(causes), "a reading was derived twice"


def test_a_lost_database_costs_the_rounds_but_not_the_total(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        meters = site.start_meters()
        daemon = site.start_daemon().ready()
        _counts(meters, site, 1000)
        _counts(meters, site, 1070)
        _settled(site, 70)
        assert daemon.stop() == 0
        top = site.committed()
        for each in site.database.parent.glob("qushui.db*"):
            if not each.name.endswith(".totals"):
                each.unlink()
        meters.order(meter="main-flow", set={"volume_forward": 1100})
        daemon = site.start_daemon().ready()
        _settled(site, 100)
        assert min(one.number for one in site.stored()) > top
        assert daemon.stop() == 0
        assert all(Decimal(text) >= 70 for one in _derived(site) if (text := _total(one)) is not None)


def test_an_account_that_goes_back_while_its_meter_is_polled_comes_to_the_same_total(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        meters = site.start_meters()
        daemon = site.start_daemon().ready()
        _counts(meters, site, 1000)
        _counts(meters, site, 1010)
        _settled(site, 10)
        assert _declared(daemon) > 0
        _settled(site, 10)
        assert daemon.status()["intakes"]["well-3"]["state"] == "live"
        assert daemon.stop() == 0


def test_an_intake_that_a_reload_adds_accounts_for_what_is_stored(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        intakes, site.intakes = site.intakes, {}
        site.write()
        meters = site.start_meters()
        daemon = site.start_daemon().ready()
        _counts(meters, site, 1000)
        _counts(meters, site, 1025)
        assert daemon.status()["intakes"] == {}
        site.intakes = intakes
        site.write()
        daemon.ask("reload")
        _settled(site, 25)
        _counts(meters, site, 1030)
        _settled(site, 30)
        assert daemon.stop() == 0
        kinds = [row.kind for row in BookReader(site.database).ledger()]
        assert "config" in kinds


def _declared(daemon: Daemon) -> int:
    """An acknowledgement that counts from an hour ago: the account goes back and comes to the same total."""
    at_ms = round((time.time() - 3600) * 1000)
    body = {"rule": "R16", "reason": "parameter set on site"}
    asked = {"kind": "acknowledgement", "subject": "meter/main-flow", "at_ms": at_ms, "body": body, "who": "li"}
    return int(daemon.ask("declare", **asked)["id"])
