"""Which rounds go next and what a receipt settles, without any wire."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.forward.lanes import LIVE_FLIGHTS, Lane, Lanes, Span
from agent.store import cursors
from tests.forwarding import stored

ALL = ((1, None),)


def send(lanes: Lanes, span: Span | None, most: int = 10) -> int:
    """Sends the beginning of a span as the session does; the tag."""
    assert span is not None
    tag = lanes.new_tag()
    lanes.sent(tag, span._replace(last=min(span.last, span.first + most - 1)), 100, 0.0)
    return tag


def test_what_was_on_disk_goes_oldest_first_and_what_is_committed_later_goes_at_once():
    lanes = Lanes(ALL, 100)
    lanes.connected(100)
    assert lanes.live(100) is None
    assert lanes.backlog() == Span(Lane.BACKLOG, 1, 100)
    assert lanes.live(103) == Span(Lane.LIVE, 101, 103)
    send(lanes, lanes.live(103))
    assert lanes.live(103) is None
    assert lanes.backlog() == Span(Lane.BACKLOG, 1, 100)


def test_only_an_acknowledgement_takes_a_round_out_of_what_is_owed():
    lanes = Lanes(ALL, 30)
    lanes.connected(30)
    first, second = send(lanes, lanes.backlog()), send(lanes, lanes.backlog())
    assert lanes.owed == ALL
    lanes.accepted(second)
    assert lanes.owed == ((1, 10), (21, None))
    lanes.lost(over_a_message=False)
    lanes.connected(30)
    assert lanes.backlog() == Span(Lane.BACKLOG, 1, 10)
    assert lanes.accepted(first) is None
    assert lanes.owed == ((1, 10), (21, None))


def test_at_most_four_live_messages_are_without_receipt():
    lanes = Lanes(ALL, 0)
    lanes.connected(0)
    tags = [send(lanes, lanes.live(number)) for number in range(1, LIVE_FLIGHTS + 1)]
    assert lanes.live(9) is None
    lanes.accepted(tags[0])
    assert lanes.live(9) == Span(Lane.LIVE, 5, 9)


def test_a_rejected_message_is_halved_until_one_round_is_left_to_park():
    lanes = Lanes(ALL, 8)
    lanes.connected(8)
    parked = []
    tag = send(lanes, lanes.backlog())
    while True:
        span = lanes.flights[tag].span
        if span.first <= 5 <= span.last:
            parked += [number for number in [lanes.rejected(tag)] if number is not None]
        else:
            lanes.accepted(tag)
        following = lanes.backlog()
        if following is None:
            break
        tag = send(lanes, following)
    assert parked == [5]
    assert lanes.owed == ((9, None),)


def test_after_a_disconnection_over_a_message_each_of_them_travels_alone():
    lanes = Lanes(ALL, 20)
    lanes.connected(20)
    send(lanes, lanes.backlog())
    send(lanes, lanes.backlog())
    assert lanes.lost(over_a_message=True) is None
    lanes.connected(25)
    piece = lanes.backlog()
    assert piece == Span(Lane.PIECE, 1, 10, alone=True)
    tag = send(lanes, piece)
    assert lanes.backlog() is None
    assert lanes.live(26) is None
    lanes.accepted(tag)
    tag = send(lanes, lanes.backlog())
    assert lanes.lost(over_a_message=True) is None
    lanes.connected(26)
    assert lanes.backlog() == Span(Lane.PIECE, 11, 15, alone=True)


def test_rounds_without_a_date_stay_owed_and_let_the_others_pass():
    lanes = Lanes(ALL, 20)
    lanes.connected(20)
    lanes.hold(Span(Lane.BACKLOG, 1, 12))
    tag = send(lanes, lanes.backlog())
    lanes.accepted(tag)
    assert lanes.backlog() is None
    assert lanes.owed == ((1, 12), (21, None))
    lanes.release(1, 12)
    assert lanes.backlog() == Span(Lane.BACKLOG, 1, 12)


def test_what_the_store_put_back_or_gave_up_changes_what_is_sent():
    lanes = Lanes(ALL, 20)
    lanes.connected(20)
    lanes.accepted(send(lanes, lanes.backlog(), 20))
    lanes.amend(((7, 7), (21, None)))
    assert lanes.backlog() == Span(Lane.BACKLOG, 7, 7)


def test_resent_is_said_of_what_was_on_disk_at_the_start_and_of_what_this_process_published():
    lanes = Lanes(ALL, 3)
    lanes.connected(3)
    rounds = [stored(number) for number in range(2, 7)]
    assert lanes.resent(rounds) == [True, True, False, False, False]
    send(lanes, lanes.live(5))
    assert lanes.resent(rounds) == [True, True, True, True, False]


def test_two_thousand_flaps_leave_at_most_32_ranges_and_lose_nothing():
    lanes = Lanes(ALL, 0)
    committed = 0
    delivered = set()
    for flap in range(2000):
        lanes.connected(committed)
        committed += 3
        tag = send(lanes, lanes.live(committed))
        if flap % 2:
            lanes.accepted(tag)
            delivered |= {committed - 2, committed - 1, committed}
        lanes.lost(over_a_message=False)
        assert len(lanes.owed) <= cursors.MOST_RANGES
    missing = set(range(1, committed + 1)) - delivered
    assert all(cursors.holds(lanes.owed, number) for number in missing)
    lanes.connected(committed)
    while (span := lanes.backlog()) is not None:
        lanes.accepted(send(lanes, span, 500))
    assert lanes.owed == ((committed + 1, None),)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_happens_every_round_is_acknowledged_parked_or_still_owed(data: st.DataObject):
    lanes = Lanes(ALL, 0)
    committed, settled, parked = 0, set(), set()
    lanes.connected(0)
    for _ in range(data.draw(st.integers(1, 60))):
        committed += data.draw(st.integers(0, 5))
        spans = [span for span in (lanes.live(committed), lanes.backlog()) if span is not None]
        if spans:
            send(lanes, data.draw(st.sampled_from(spans)), data.draw(st.integers(1, 7)))
        if not lanes.flights:
            continue
        tag = data.draw(st.sampled_from(sorted(lanes.flights)))
        numbers = range(lanes.flights[tag].span.first, lanes.flights[tag].span.last + 1)
        match data.draw(st.sampled_from(["accepted", "again", "rejected", "lost", "blamed", "nothing"])):
            case "accepted":
                lanes.accepted(tag)
                settled |= set(numbers)
            case "again":
                lanes.again(tag)
            case "rejected":
                parked |= {lanes.rejected(tag)}
            case ("lost" | "blamed") as how:
                parked |= {lanes.lost(over_a_message=how == "blamed")}
                lanes.connected(committed)
    for number in range(1, committed + 1):
        assert number in settled or number in parked or cursors.holds(lanes.owed, number)
    lanes.connected(committed)
    while (span := lanes.backlog()) is not None:
        lanes.accepted(send(lanes, span))
    assert lanes.owed == ((committed + 1, None),)
