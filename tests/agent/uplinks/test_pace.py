"""Which report goes next, and to which address."""

from __future__ import annotations

from agent.store.outbox import Waiting
from agent.uplinks.reporting.addresses import FAILURES, RETURN_S, Addresses
from agent.uplinks.reporting.pace import Pace

HOUR = 3_600_000
NONE: frozenset[int] = frozenset()


def waiting(tag: int, slot_ms: int, kind: str = "timed") -> Waiting:
    return Waiting(tag, "province", kind, slot_ms, "", tag, 0)


def pace(jitter_ms: int = 0) -> Pace:
    return Pace(every_ms=HOUR, jitter_ms=jitter_ms, backlog_per_min=30)


def test_a_report_goes_at_the_stations_own_place_behind_the_slot():
    ours, row = pace(120_000), waiting(1, 10 * HOUR)
    assert ours.choose([row], 0, 10 * HOUR + 119_999, NONE) is None
    assert ours.choose([row], 0, 10 * HOUR + 120_000, NONE) == row


def test_what_is_live_goes_before_what_is_late():
    rows = [waiting(tag, tag * HOUR) for tag in range(1, 11)]
    assert pace().choose(rows, 0, 10 * HOUR, NONE) == rows[-1]


def test_an_alarm_goes_at_once():
    rows = [waiting(1, 10 * HOUR), waiting(2, 10 * HOUR + 5, "additional")]
    assert pace(300_000).choose(rows, 0, 10 * HOUR + 10, NONE) == rows[1]


def test_late_reports_go_oldest_first_thirty_a_minute():
    ours = pace()
    rows = [waiting(tag, tag * HOUR) for tag in range(1, 6)]
    sent: list[int] = []
    for second in range(10):
        found = ours.choose(rows, second, 100 * HOUR, frozenset(sent))
        if found is not None:
            sent.append(found.tag)
            ours.sent(found, second, 100 * HOUR)
    assert sent == [1, 2, 3, 4, 5]
    assert ours.choose([waiting(9, HOUR)], 9, 100 * HOUR, NONE) is None  # the last one went at second 8
    assert ours.choose([waiting(9, HOUR)], 10, 100 * HOUR, NONE) is not None


def test_what_went_on_this_connection_does_not_go_again():
    row = waiting(1, 10 * HOUR)
    assert pace().choose([row], 0, 10 * HOUR, frozenset({1})) is None


def test_three_failures_lead_to_the_backup_and_three_more_back():
    addresses = Addresses([("main", 1), ("backup", 2)])
    for _ in range(FAILURES):
        assert addresses.now == ("main", 1)
        addresses.failed(0)
    for _ in range(FAILURES):
        assert addresses.now == ("backup", 2)
        addresses.failed(0)
    assert addresses.now == ("main", 1)


def test_from_the_backup_the_main_address_is_tried_again_now_and_then():
    addresses = Addresses([("main", 1), ("backup", 2)])
    for _ in range(FAILURES):
        addresses.failed(0)
    assert not addresses.wants_main(RETURN_S - 1)
    assert addresses.wants_main(RETURN_S)
    addresses.tried_main(RETURN_S, works=False)
    assert not addresses.wants_main(RETURN_S + 1)
    addresses.tried_main(2 * RETURN_S, works=True)
    assert addresses.now == ("main", 1)


def test_a_good_connection_forgets_the_failures_before_it():
    addresses = Addresses([("main", 1), ("backup", 2)])
    for _ in range(10):
        addresses.failed(0)
        addresses.failed(0)
        addresses.proved()
    assert addresses.now == ("main", 1)
    assert not Addresses([("main", 1)]).wants_main(1e9)
