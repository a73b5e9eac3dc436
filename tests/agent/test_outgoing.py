"""What a person may do about a centre's reports: send parked ones again, forget those of a removed centre."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.control import ControlError
from agent.outgoing import Outgoing
from agent.store.outbox import Composed, NewReport
from agent.store.store import Store
from agent.supervise import Supervisor
from tests.fakes import FakeClock, KeptFaults, QuietLog

NOBODY: Any = None  # these platforms order nothing

HOUR = 3_600_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "q.db", clock=FakeClock(), log=QuietLog(), keep_s=1e8, max_bytes=1 << 32, free_bytes=0)
    store.open()
    reports = [NewReport("timed", slot * HOUR, "", "{}") for slot in (1, 2, 3)]
    store.outbox.add("province", reports, Composed(10, 3 * HOUR))
    store.flush()
    for row in store.outbox.waiting("province")[:2]:
        store.outbox.parked(row.tag, "the time tag has no month: 2026-11 is over")
    store.flush()
    yield store
    store.close()


def outgoing(store: Store) -> Outgoing:
    clock = FakeClock()
    supervisor = Supervisor(clock=clock, faults=KeptFaults(), log=QuietLog())
    return Outgoing(store=store, supervisor=supervisor, clock=clock, log=QuietLog(), orders=NOBODY)


def test_one_parked_report_or_all_of_them_are_sent_again(store: Store):
    ours = outgoing(store)
    assert [row.tag for row in store.outbox.waiting("province")] == [3]
    assert ours.retry({"uplink": "province", "number": 1}) == {"retried": 1}
    store.flush()
    assert ours.retry({"uplink": "province"}) == {"retried": 1}
    store.flush()
    assert [row.tag for row in sorted(store.outbox.waiting("province"))] == [1, 2, 3]
    assert ours.retry({"uplink": "province"}) == {"retried": 0}


def test_a_report_is_put_back_once_also_before_that_is_on_disk(store: Store):
    ours = outgoing(store)
    assert ours.retry({"uplink": "province"}) == {"retried": 2}
    store.outbox.accepted(1, HOUR)
    assert ours.retry({"uplink": "province"}) == {"retried": 0}
    assert [row.tag for row in sorted(store.outbox.waiting("province"))] == [2, 3], (
        "what was accepted is not sent again"
    )


def test_a_number_that_is_not_parked_is_named(store: Store):
    with pytest.raises(ControlError) as refused:
        outgoing(store).retry({"uplink": "province", "number": 3})
    assert refused.value.code == "UNKNOWN_ROW"


def test_a_removed_centres_reports_are_dropped_and_counted(store: Store):
    ours = outgoing(store)
    assert ours.drop({"uplink": "province"}) == {"dropped": 1}
    store.flush()
    with pytest.raises(ControlError) as refused:
        ours.drop({"uplink": "province"})
    assert refused.value.code == "UNKNOWN_UPLINK"


def test_an_uplink_that_changed_its_type_leaves_nothing_that_keeps_rounds_for_ever(store: Store):
    store.begin_cursor("province")
    assert outgoing(store).drop({"uplink": "province"}) == {"dropped": 1}
    store.flush()
    with pytest.raises(KeyError):
        store.drop("province")
