"""The gateway's key and what it signs. The library itself is held to the vectors of RFC 8032."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.faults import FaultCode
from agent.heads import Heads
from agent.signing import KeyUnusableError, Signing, fingerprint, is_signed_by, key_place, sign, signed_text
from agent.store.database import PAGE_BYTES
from tests.agent.store.conftest import Site, fill, round_of, site
from tests.fakes import START_MS
from tests.forwarding import KeptFaults, until

__all__ = ["site"]  # the fixture

ZONE = ZoneInfo("Asia/Shanghai")


def test_a_signature_is_that_of_rfc_8032(tmp_path: Path):
    """Section 7.1, test 2."""
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert is_signed_by(public, b"\x72", signature)
    assert not is_signed_by(public, b"\x73", signature)
    assert not is_signed_by(bytes(31), b"\x72", signature)


def test_the_key_is_made_once_for_its_owner_alone_and_signs_the_same_in_any_process(tmp_path: Path):
    place = key_place(tmp_path / "qushui.db")
    first = sign(place, b"one")
    assert place.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["qushui.db.key"]
    assert Signing(place, b"one").result() == first == sign(place, b"one")
    assert is_signed_by(first.public, b"one", first.signature)
    assert len(fingerprint(first.public)) == 19


def test_a_key_that_cannot_be_used_is_said_and_never_replaced(tmp_path: Path):
    place = key_place(tmp_path / "qushui.db")
    place.write_text("no key", encoding="ascii")
    with pytest.raises(KeyUnusableError, match=r"qushui\.db\.key"):
        Signing(place, b"one").result()
    assert place.read_text(encoding="ascii") == "no key"


def test_what_is_signed_does_not_depend_on_the_order_of_the_keys():
    assert signed_text({"b": 1, "a": "井", "signature": "00"}) == '{"a":"井","b":1}'.encode()


def watched(heads: Heads, store, done) -> None:
    """Looks once a second, as the main thread, and commits, as the store's."""

    def step() -> bool:
        heads.watch()
        store.commit()
        return bool(done())

    until(step, 20, "a head")


def signed_heads(site: Site) -> list[dict]:
    rows = site.sql("SELECT body FROM ledger WHERE kind = 'head' ORDER BY id")
    return [json.loads(body) for (body,) in rows]


def heads_of(site: Site, store, faults=None) -> Heads:
    chain = {"chain": store, "station": "S1", "zone": ZONE, "clock": site.clock}
    return Heads(site.path, **chain, faults=faults or KeptFaults(), log=site.log)


def test_a_head_is_signed_each_local_day_and_for_each_frozen_report(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 20)
    heads = heads_of(site, store)
    watched(heads, store, lambda: signed_heads(site))
    (first,) = signed_heads(site)
    today = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=START_MS)).astimezone(ZONE).date()
    assert first["day"] == today.isoformat()
    assert first["last"] == 20
    (public,) = site.sql("SELECT body FROM ledger WHERE kind = 'key'")
    assert is_signed_by(
        bytes.fromhex(json.loads(public[0])["public"]), signed_text(first), bytes.fromhex(first["signature"])
    )
    for _ in range(20):
        heads.watch()
        store.commit()
    assert len(signed_heads(site)) == 1
    store.declare("frozen", "2026Q3", None, {"sha256": "00"}, "Wang Fang")
    watched(heads, store, lambda: len(signed_heads(site)) == 2)
    site.clock.advance(86_400)
    watched(heads, store, lambda: len(signed_heads(site)) == 3)
    assert signed_heads(site)[2]["day"] == (today + timedelta(days=1)).isoformat()
    assert store.head == json.dumps(signed_heads(site)[2], sort_keys=True, separators=(",", ":"))
    heads.close()


def test_nothing_is_signed_before_anybody_knows_the_date(site):
    site.clock.synced = False
    store = site.open()
    fill(store, 5)
    heads = heads_of(site, store)
    watched(heads, store, lambda: site.sql("SELECT 1 FROM ledger WHERE kind = 'key'"))
    for _ in range(5):
        heads.watch()
        store.commit()
    assert not signed_heads(site)
    heads.close()


def test_a_ledger_that_cannot_be_read_ends_nothing_and_is_repaired(site):
    """The look is the main thread's: what it raised ended the agent, at each start anew."""
    store = site.open()
    store.date_boot(START_MS, "host")
    for number in range(200):
        store.declare("acknowledgement", "well-3", None, {"note": f"row {number} {'x' * 100}"}, "Wang Fang")
    heads = heads_of(site, store)
    watched(heads, store, lambda: signed_heads(site))
    heads.close()
    site.close()
    with site.path.open("r+b") as file:
        file.seek(file.read().index(b"row 100 ") // PAGE_BYTES * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))
    store = site.open()
    store.date_boot(START_MS, "host")
    assert not site.events("store.damaged"), "nothing that a start reads is broken"
    heads = heads_of(site, store)

    def step() -> bool:
        heads.watch()
        store.append(round_of(1, boot_ms=site.clock.boot_ms()))
        store.commit()
        site.clock.advance(1)
        return bool(site.events("store.damaged"))

    until(step, 20, "the repair")
    site.clock.advance(86_400)
    before = len(signed_heads(site))
    watched(heads, store, lambda: len(signed_heads(site)) > before)
    heads.close()


def test_a_lost_key_is_replaced_and_the_ledger_says_so(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    heads = heads_of(site, store)
    watched(heads, store, lambda: signed_heads(site))
    heads.close()
    key_place(site.path).unlink()
    heads = heads_of(site, store)
    watched(heads, store, lambda: len(signed_heads(site)) == 2)
    heads.close()
    keys = [subject for (subject,) in site.sql("SELECT subject FROM ledger WHERE kind = 'key' ORDER BY id")]
    assert [head["key"] for head in signed_heads(site)] == keys
    assert len(set(keys)) == 2


def test_a_key_that_cannot_be_read_is_a_fault_and_costs_no_round(site):
    key_place(site.path).write_text("no key", encoding="ascii")
    store = site.open()
    store.date_boot(START_MS, "host")
    faults = KeptFaults()
    heads = heads_of(site, store, faults)
    watched(heads, store, lambda: (FaultCode.KEY_UNUSABLE, "store") in faults.open)
    fill(store, 5)
    assert site.numbers() == [1, 2, 3, 4, 5]
    key_place(site.path).unlink()
    site.clock.advance(601)
    watched(heads, store, lambda: signed_heads(site))
    assert (FaultCode.KEY_UNUSABLE, "store") not in faults.open
    heads.close()


def test_the_daemon_never_carries_the_library():
    code = "import sys, agent.daemon; sys.exit(any(name.startswith('cryptography') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
