"""The promise, through the whole store and the real account: what is stored decides, not when it was derived."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.bookkeeping import intake_of
from agent.intakes.outcome import Declared
from agent.model import INTAKE, Round
from agent.rules.faults import fault_of
from agent.store.book_reader import BookReader
from tests.agent.intakes.histories import histories, site
from tests.agent.intakes.rounds import START, STEP, heard
from tests.agent.store.conftest import Site, layout_of

LAYOUTS = {
    "pump-kwh": layout_of("pump-kwh", ("energy_import",)),
    "depth": layout_of("depth", ("depth_to_water",)),
}


class Station:
    """A store with the intake of `histories`, in a boot that began at `START`."""

    def __init__(self, directory: Path, *, is_dated: bool) -> None:
        self.site = Site(directory)
        self.is_dated = is_dated
        self.rows: dict[int, int] = {}  # numbers in the ledger by those in the history
        self.open()

    def open(self) -> None:
        self.store = self.site.open()
        if self.is_dated:
            self.store.date_boot(START, "host")
        self.store.keep_books([intake_of(site())], fault_of=fault_of)

    def take(self, each: Any) -> None:
        layout = LAYOUTS[each.meter]
        values = tuple(each.values.get(quantity) for quantity in layout.quantities)
        quality = {quantity: ("NO_REPLY",) for quantity in layout.quantities if quantity not in each.values}
        self.store.append(Round(layout=layout, boot_ms=each.at_ms - START, values=values, quality=quality, raw=(b"",)))

    def declare(self, each: Any) -> None:
        body = dict(each.body)
        if each.kind == "withdrawal":
            body["id"] = self.rows[body["id"]]
        self.rows[each.id] = self.store.declare(each.kind, each.subject, each.at_ms, body, each.who)

    def restart(self, *, is_kill: bool) -> None:
        self.store.flush()
        self.site.kill() if is_kill else self.site.close()
        self.open()

    def settle(self) -> None:
        for _ in range(200):
            self.store.commit()
            if not self.store._is_due():
                return
        raise AssertionError("it does not come to an end")

    def result(self) -> tuple[object, ...]:
        """What the newest closings say of the hours, and the last total."""
        book = BookReader(self.site.path)
        closings = [(row.at_ms, row.body["settled"], row.state is None) for row in book.closings("well-3", 0, 1 << 60)]
        now = [
            each
            for each in self.site.rounds()
            if each.layout.protocol == INTAKE and "flow_rate" in each.layout.quantities
        ]
        assert len({(each.at_ms, each.proof) for each in now}) == len(now), "a reading was told twice"
        assert not [fault for fault in self.store.faults.open() if fault.code == "INTAKE-STOPPED"]
        book.close()
        return closings, now[-1].texts, now[-1].quality


def behind_what_they_withdraw(entered: list[tuple[int, Declared]]) -> list[tuple[int, Declared]]:
    """Declarations in the order in which they are entered: nothing is withdrawn that was not entered before."""
    when = {each.id: at for at, each in entered}
    held = [(max(at, when[each.body["id"]]) if each.kind == "withdrawal" else at, each) for at, each in entered]
    return sorted(held, key=lambda one: (one[0], one[1].kind == "withdrawal"))


@given(histories(), st.data())
@settings(max_examples=12, deadline=None)
def test_totals_do_not_depend_on_restarts_late_dates_or_late_declarations(history, data):
    rounds, declared, entered, restarts = history
    rounds = [*rounds, heard(0, "pump-kwh", rounds[-1].at_ms + STEP, energy_import="7.77")]
    dated_at = data.draw(st.integers(0, len(rounds)), label="dated at")
    commits = data.draw(st.sets(st.integers(0, len(rounds))), label="commits")
    with tempfile.TemporaryDirectory() as plain_name, tempfile.TemporaryDirectory() as other_name:
        plain = Station(Path(plain_name), is_dated=True)
        for each in sorted(declared, key=lambda each: each.id):
            plain.declare(each)
        for each in rounds:
            plain.take(each)
        plain.settle()
        other = Station(Path(other_name), is_dated=False)
        for index, each in enumerate(rounds):
            if index == dated_at:
                other.is_dated = True
                other.store.date_boot(START, "manual")
            for when, one in behind_what_they_withdraw(entered):
                if when == index:
                    other.declare(one)
            if index in restarts:
                other.restart(is_kill=index % 2 == 0)
            other.take(each)
            if index in commits:
                other.store.commit()
        if dated_at == len(rounds):
            other.store.date_boot(START, "manual")
        other.settle()
        assert other.result() == plain.result()
        plain.site.close()
        other.site.close()
