"""A station whose books are kept: rounds of a quarter, closings, a coefficient, a swap, an anomaly, for report tests.

well-3 is converted from electricity: 15 kW from 6 to 18 o'clock local, W7 with 2.20 m³/kWh. canal-1 has a flow meter
that counts 5 m³ an hour. Both are read every half hour, seven minutes past, so that every boundary is between readings.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.bookkeeping import enter_configuration, open_books
from agent.config import load
from agent.derive.exact import local_day, midnight_ms, rounded_m3
from agent.derive.uncertainty import Share, plus
from agent.model import Layout, Round
from agent.profiles import Library
from agent.store.store import Store
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS
from tests.fakes import FakeClock, QuietLog

ZONE = ZoneInfo("Asia/Shanghai")
HOUR_MS = 3_600_000
STEP_MS = HOUR_MS // 2
LATE_MS = 7 * 60_000
_MOST_COMMITS = 100
CT = 20
TC = Decimal("2.20")
KW = 15
FIRST_DAY, END_DAY = date(2026, 6, 28), date(2026, 10, 2)
CONFIG = """\
station: {{id: pumphouse-12, name: 三号泵房, timezone: Asia/Shanghai}}
store: {{path: {store}, free_disk: 1MB}}
clock: {{trust: host}}
lines:
  bus: {{tcp: "127.0.0.1:9"}}
meters:
  pump-kwh: {{line: bus, profile: eastron-sdm630, address: "2", poll: 30m, quantities: [energy_import]}}
  canal-flow: {{line: bus, profile: tuf2000, address: "1", poll: 30m, quantities: [volume_forward]}}
intakes:
  well-3:
    code: "4302810001"
    name: 三号井
    source: ground
    aquifer: shallow
    permit: {{number: D430281G2021-0001, holder: 清丰县城关镇灌溉合作社, annual_m3: 50000, valid_until: 2027-12-31}}
    water:
      electricity: pump-kwh
      coefficient: W7
      rated_kw: 15
      digits: 6
      ct: 100/5
  canal-1:
    code: "4302810002"
    source: surface
    permit: {{number: D430281S2021-0002, annual_m3: 60000}}
    range: {{q3_m3h: 25}}
    water: {{meter: canal-flow}}
"""
COEFFICIENT = {
    "id": "W7", "version": 4, "well_code": "WELL-7", "delivery_mode": "open_outlet", "model": "fixed",
    "params": {"tc": "2.20"}, "basis": {"runs": 5}, "u_rel": "0.03", "valid_from": "2026-04-01",
    "valid_to": "2027-04-01", "evidence": {"report_no": "R-12", "sha256": "ab" * 32},
}  # fmt: skip


def ms(text: str) -> int:
    """A local time, UTC ms."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000)


def layout(meter: str, quantity: str, profile: str, requests: tuple[bytes, ...]) -> Layout:
    return Layout(
        meter=meter, profile=profile, version=LIBRARY.load(profile).version, protocol="modbus", address="2",
        quantities=(quantity,), flags=(), period_ms=STEP_MS, requests=requests,
    )  # fmt: skip


LIBRARY = Library(drivers=DRIVERS)
DRIVER = DRIVERS["modbus"]()
(ENERGY,) = LIBRARY.load("eastron-sdm630").entry("energy_import").parts
(ASK,) = DRIVER.plan("2", [(ENERGY.item,)], {})
METERS = {
    "well-3": layout("pump-kwh", "energy_import", "eastron-sdm630", (ASK.begin(0).request,)),
    "canal-1": layout("canal-flow", "volume_forward", "tuf2000", (b"",)),
}


def reply(shown: Decimal) -> bytes:
    """What the energy meter sends."""
    image: dict[str, object] = {}
    ENERGY.item.put(image, ENERGY.item.encode(shown))
    return DRIVER.answer(ASK.begin(0).request, {"2": image})


def pumped_h(at_ms: int, begin_ms: int) -> Decimal:
    """Hours that the pump ran from `begin_ms` on: each day from 6 to 18 o'clock."""
    days, rest = divmod(at_ms - begin_ms, 24 * HOUR_MS)
    today = min(max(Decimal(rest) / HOUR_MS - 6, Decimal(0)), Decimal(12))
    return 12 * days + today


class Books:
    """Writes the station's database and configuration."""

    def __init__(
        self, directory: Path, *, first: date = FIRST_DAY, end: date = END_DAY, is_accounted: bool = False
    ) -> None:
        """`is_accounted`: the accounts themselves make readings and closings, which takes ten times as long."""
        self.path = directory / "qushui.db"
        self.config = directory / "agent.yaml"
        self.config.write_text(CONFIG.format(store=self.path), encoding="utf-8")
        self.begin_ms, self.end_ms = midnight_ms(first, ZONE), midnight_ms(end, ZONE)
        self.ends: dict[str, list[dict[str, object]]] = {"well-3": [], "canal-1": []}
        self.clock = FakeClock(boot_s=0.0, offset_ms=self.begin_ms)
        self._rounds(is_accounted=is_accounted)
        if not is_accounted:
            self._closings()
            self.declare("coefficient", "W7", ms("2026-04-01"), {**COEFFICIENT, "report": "ab" * 32})

    def _rounds(self, *, is_accounted: bool) -> None:
        store = Store(self.path, clock=self.clock, log=QuietLog(), keep_s=10**9, max_bytes=4 << 30, free_bytes=0)
        store.open()
        store.date_boot(self.begin_ms, "host")
        if is_accounted:
            config = load(self.config, drivers=DRIVERS, uplink_settings=settings_models())
            store.declare("coefficient", "W7", ms("2026-04-01"), COEFFICIENT, "Li Wei")
            open_books(store, config)
            enter_configuration(store, config, at_ms=self.begin_ms, log=QuietLog())
        for at_ms in range(self.begin_ms + LATE_MS, self.end_ms, STEP_MS):
            for intake, form in METERS.items():
                self._round(store, intake, form, at_ms)
        while not store.commit(every=True):
            pass
        store.close()

    def _round(self, store: Store, intake: str, form: Layout, at_ms: int) -> None:
        hours = Decimal(at_ms - self.begin_ms) / HOUR_MS
        energy = KW * pumped_h(at_ms, self.begin_ms) if intake == "well-3" else None
        shown = Decimal(1000) + (5 * hours if energy is None else energy / CT)
        shown = shown.quantize(Decimal("0.0001"))
        boot_ms = at_ms - self.begin_ms
        raw = b"" if energy is None else reply(shown)
        number = store.append(Round(layout=form, boot_ms=boot_ms, values=(shown,), quality={}, raw=(raw,)))
        energy_text = None if energy is None else str((shown - 1000) * CT)
        volume = str((shown - 1000) if energy_text is None else Decimal(energy_text) * TC)
        self.ends[intake].append(
            {
                "number": number,
                "at_ms": at_ms,
                "volume": volume,
                "energy": energy_text,
                "pumping": energy_text,
                "register": str(shown),
            }
        )
        if number % 50 == 0:
            store.commit(every=True)

    def _closings(self) -> None:
        """A closing for each full hour between two readings, with shares and counts up to it."""
        connection = sqlite3.connect(self.path)
        (epoch,) = connection.execute("SELECT epoch FROM epoch").fetchone()
        for intake, ends in self.ends.items():
            for end in ends:
                end["id"] = f"{epoch}-{end['number']}"
            for place in range(1, len(ends), 2):
                before, after = ends[place], ends[place + 1] if place + 1 < len(ends) else None
                if after is not None:
                    at_ms = -(-int(before["at_ms"]) // HOUR_MS) * HOUR_MS
                    body = self.body(intake, before, after, place + 1)
                    state = "{}" if midnight_ms(local_day(at_ms, ZONE), ZONE) == at_ms else None
                    row = (intake, at_ms, 1, after["number"], json.dumps(body, sort_keys=True), state)
                    connection.execute("INSERT INTO closing VALUES (?, ?, ?, ?, ?, ?)", row)
        connection.commit()
        connection.close()

    def body(self, intake: str, before: dict, after: dict, readings: int) -> dict[str, object]:
        energy = Decimal(before["energy"] or 0)
        share = Share(
            coefficient="W7@4" if intake == "well-3" else "", meter=METERS[intake].meter,
            volume_m3=Decimal(before["volume"]), energy_kwh=energy or Decimal(before["volume"]),
            u_tc=Decimal("0.03") if intake == "well-3" else Decimal(0), age_years=Decimal("0.4"),
            drift_per_year=Decimal("0.025") if intake == "well-3" else Decimal(0),
            u_model=Decimal("0.02") if intake == "well-3" else Decimal(0), class_pct=Decimal(1),
            ct_class_pct=Decimal("0.5"), step_kwh=Decimal("0.2"),
        )  # fmt: skip
        tally = {group: {k: str(v) for k, v in sums.items()} for group, sums in plus({}, [share]).items()}
        counts = {
            "expected": readings, "good": readings - readings // 50, "flags": {"GAP": readings // 1000},
            "qc": {"1": readings - readings // 100, "3": readings // 100}, "runs": readings // 48,
            "run_h": "0", "swaps": 0, "rollovers": 0, "gaps": readings // 1000,
        }  # fmt: skip
        registers = {
            METERS[intake].meter: {
                name: {"id": end["id"], "at_ms": end["at_ms"], "register": end["register"]}
                for name, end in (("before", before), ("after", after))
            }
        }
        ends = {
            name: {key: end[key] for key in end if key != "register"}
            for name, end in (("before", before), ("after", after))
        }
        return {
            "form": 1,
            **ends,
            "settled": settled(before, after),
            "registers": registers,
            "tally": tally,
            "counts": counts,
        }

    def declare(self, kind: str, subject: str, at_ms: int | None, body: dict, who: str = "Li Wei") -> None:
        connection = sqlite3.connect(self.path)
        text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        boot = connection.execute("SELECT boot_id FROM boot").fetchone()[0]
        connection.execute(
            "INSERT INTO ledger (kind, subject, at_ms, body, who, round, boot, ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (kind, subject, at_ms, text, who, 1, boot, 0),
        )
        connection.commit()
        connection.close()

    def derive(self) -> None:
        """Starts the accounts and has them come up with what was declared since."""
        store = Store(self.path, clock=self.clock, log=QuietLog(), keep_s=10**9, max_bytes=4 << 30, free_bytes=0)
        store.open()
        store.date_boot(self.begin_ms, "host")
        open_books(store, load(self.config, drivers=DRIVERS, uplink_settings=settings_models()))
        for _ in range(_MOST_COMMITS):
            store.commit(every=True)
            if all(account["state"] == "live" for account in store.accounts().values()):
                break
        else:
            raise AssertionError("the accounts do not come to an end")
        store.close()

    def copied(self, directory: Path) -> Books:
        """The same station elsewhere."""
        copy = object.__new__(Books)
        copy.begin_ms, copy.clock = self.begin_ms, self.clock
        copy.path, copy.config = directory / self.path.name, directory / self.config.name
        shutil.copy(self.path, copy.path)
        copy.config.write_text(CONFIG.format(store=copy.path), encoding="utf-8")
        return copy

    def rows(self, query: str) -> list[tuple]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def find(self, intake: str, began_ms: int, ended_ms: int | None, rule: str = "R3", level: int = 3) -> None:
        connection = sqlite3.connect(self.path)
        connection.execute(
            "INSERT INTO event (intake, rule, version, subject, quantity, began_ms, ended_ms, level, first, last, body)"
            " VALUES (?, ?, '1', ?, 'volume_forward', ?, ?, ?, 40, 44, '{}')",
            (intake, rule, f"intake/{intake}", began_ms, ended_ms, level),
        )
        connection.commit()
        connection.close()


def settled(before: dict, after: dict) -> dict[str, object]:
    """The full hour between two readings, settled on the line between them."""
    begin_ms, end_ms = before["at_ms"], after["at_ms"]
    at_ms = -(-begin_ms // HOUR_MS) * HOUR_MS
    found: dict[str, object] = {
        "method": "interpolated",
        "offset_ms": 0,
        "bracket_ms": end_ms - begin_ms,
        "doubt": "0.5",
    }
    for name in ("volume", "energy", "pumping"):
        if before[name] is not None:
            line = Decimal(before[name]) + (Decimal(after[name]) - Decimal(before[name])) * (at_ms - begin_ms) / (
                end_ms - begin_ms
            )
            found[name] = str(rounded_m3(line))
    return found
