"""The window, the silence and the waits, by arithmetic."""

from __future__ import annotations

from agent import retry
from agent.forward.window import FIRST_BYTES, LEAST_BYTES, MOST_BYTES, MessageSize, Progress, RoundSize, Window


def test_quick_acknowledgements_widen_the_window_to_a_megabyte_and_no_further():
    window = Window()
    assert window.size == FIRST_BYTES == 16 * 1024
    window.acknowledged(8192, 0.5)
    assert window.size == FIRST_BYTES + 8192
    for _ in range(200):
        window.acknowledged(window.batch_bytes, 0.01)
    assert window.size == MOST_BYTES


def test_late_acknowledgements_narrow_the_window_but_never_below_two_kilobytes():
    window = Window()
    window.acknowledged(8192, 1.6)
    assert window.size == int(FIRST_BYTES * 0.6)
    for _ in range(20):
        window.acknowledged(1024, 3.0)
    assert window.size == LEAST_BYTES == 2048


def test_acknowledgements_in_between_leave_the_window_as_it_is():
    window = Window()
    window.acknowledged(8192, 1.0)
    assert window.size == FIRST_BYTES


def test_a_link_is_not_silent_while_its_send_queue_shrinks_though_more_is_added():
    progress = Progress(0.0)
    progress.handed(10_000)
    assert progress.still_s(4.0, unsent=9_000, receipts=False, waiting=True) == 0.0
    progress.handed(5_000)
    assert progress.still_s(8.0, unsent=13_000, receipts=False, waiting=True) == 0.0
    assert progress.still_s(12.0, unsent=13_000, receipts=False, waiting=True) == 4.0
    assert progress.still_s(13.5, unsent=13_000, receipts=False, waiting=True) == 5.5


def test_a_receipt_or_having_nothing_to_wait_for_ends_the_silence():
    progress = Progress(0.0)
    progress.handed(100)
    progress.still_s(0.0, unsent=0, receipts=False, waiting=True)
    assert progress.still_s(4.0, unsent=0, receipts=False, waiting=True) == 4.0
    assert progress.still_s(4.5, unsent=0, receipts=True, waiting=True) == 0.0
    assert progress.still_s(60.0, unsent=0, receipts=False, waiting=False) == 0.0


def test_the_number_of_rounds_in_a_message_follows_their_size():
    sizes = RoundSize()
    for _ in range(40):
        sizes.learn(10, 10 * 650)
    assert sizes.rounds_in(6500) in {9, 10}
    assert sizes.rounds_in(1) == 1


def test_messages_grow_again_long_after_a_platform_hung_up():
    size = MessageSize()
    size.lost(8000)
    assert size.most == 4000
    size.lost(4000)
    assert size.most == 2000
    for _ in range(1000):
        size.acknowledged(1800)
    assert size.most == 4000
    size.lost(1500)
    assert size.most == 4000, "that size was acknowledged before: it was not the reason"


def test_waits_double_from_a_fifth_of_a_second_to_the_most_with_full_jitter():
    bounds = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0]
    runs = []
    for _ in range(200):
        backoff = retry.reconnecting(60.0)
        runs.append([backoff.next_s() for _ in bounds])
    for place, bound in enumerate(bounds):
        waits = [run[place] for run in runs]
        assert 0 <= min(waits) < bound / 4
        assert bound * 3 / 4 < max(waits) <= bound


def test_after_a_success_the_waits_begin_anew():
    backoff = retry.reconnecting(60.0)
    for _ in range(20):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 0.2
