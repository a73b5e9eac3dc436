"""Whatever a broken file has cost, `verify` calls it a salvage and no forgery, and finds what is changed afterwards."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

import pytest

from tests.agent.store.conftest import Site, fill
from tests.agent.store.test_salvage import PAGE, pages_of, spoil
from tests.agent.store.test_seals import COEFFICIENT, verdict_of
from tests.fakes import START_MS


def damaged(site: Site, seed: int) -> None:
    """A file of some years in little: seals, declarations, heads; then pages of it overwritten by chance."""
    chance = random.Random(seed)
    store = site.open()
    store.date_boot(START_MS, "host")
    for part in range(5):
        store.declare("coefficient", f"W{part}", START_MS, COEFFICIENT, "Li Wei")
        fill(store, 700)
    site.close()
    pages = pages_of(site.path)
    match seed % 5:
        case 0:
            spoil(site.path, 1, chance.randrange(1, 12))
        case 1:
            site.path.write_bytes(site.path.read_bytes()[: pages * chance.randrange(2, 9) // 10 * PAGE])
        case 2:
            spoil(site.path, 1, pages, chance)
        case _:
            for _ in range(seed % 4 + 1):
                first = chance.randrange(2, pages)
                spoil(site.path, first, min(pages, first + chance.randrange(6)), chance)


@pytest.mark.parametrize("seed", range(20))
def test_a_salvaged_chain_is_told_from_a_forged_one(site, seed):
    damaged(site, seed)
    store = site.open()
    store.suspect()
    store.date_boot(START_MS, "host")
    store.declare("decision", "main-flow", START_MS, {"reason": "wrapped"}, "Li Wei")
    fill(store, 1200)
    site.close()
    verdict = verdict_of(site.path)
    assert not verdict.breaks
    assert (verdict.unsealed, verdict.unsealed_rows) == (0, 0)
    lost = set(range(1, verdict.last + 1)) - set(site.numbers())
    told = {number for each in verdict.salvages for first, last in each.lost for number in range(first, last + 1)}
    assert lost <= told
    store = site.open()
    fill(store, 10)
    site.close()
    assert not verdict_of(site.path).breaks
    numbers = site.numbers()
    site.close()
    for number in (numbers[0], numbers[len(numbers) // 2], numbers[-1]):
        with closing(sqlite3.connect(site.path)) as connection:
            connection.execute("UPDATE round SET boot_ms = boot_ms + 1 WHERE number = ?", (number,))
            connection.commit()
            assert verdict_of(site.path).breaks, number
            connection.execute("UPDATE round SET boot_ms = boot_ms - 1 WHERE number = ?", (number,))
            connection.commit()
    assert not verdict_of(site.path).breaks
