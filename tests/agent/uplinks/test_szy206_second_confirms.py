"""A second confirm for one send, which no rule allows, is not taken for the next report's."""

from __future__ import annotations

from agent.uplinks.dialogue import Acknowledged, Over, Partly, Step, Violation
from agent.uplinks.szy206_wire.frame import parse
from tests.agent.uplinks.szy206_talk import BOTH, confirm, delivery, dialogue, moment

UNASKED = Step((), (Violation(code="unasked_confirm", detail="C0"),))


def test_the_next_report_waits_for_a_while_behind_a_confirm():
    station = dialogue(confirm_pause_s=2.0)
    (sent,) = station.send(delivery(), moment(0)).data
    assert station.receive(confirm(sent), moment(1)).happenings == (Acknowledged(tag=1),)
    assert not station.is_ready
    assert station.deadline_s == 3
    assert station.receive(confirm(sent), moment(2)) == UNASKED
    assert station.tick(moment(3)) == Step()
    assert station.is_ready


def test_the_next_frame_of_a_report_waits_as_well():
    station = dialogue(confirm_pause_s=2.0)
    (sent,) = station.send(delivery(content=BOTH), moment(0)).data
    assert station.receive(confirm(sent), moment(1)) == Step((), (Partly(tag=1, frames=1),))
    assert station.receive(confirm(sent), moment(2)) == UNASKED
    (second,) = station.tick(moment(3)).data
    assert parse(second).func != parse(sent).func
    assert station.receive(confirm(second), moment(4)).happenings == (Acknowledged(tag=1),)
    assert not station.is_ready, "this centre confirms twice"
    assert station.receive(confirm(second), moment(5)) == Step()


def test_a_centre_that_confirms_twice_has_confirmed_twice_before_the_next_report_goes():
    station = dialogue(keepalive_s=1000.0)
    (sent,) = station.send(delivery(1), moment(0)).data
    station.receive(confirm(sent), moment(1))
    assert station.receive(confirm(sent), moment(100)) == UNASKED
    (sent,) = station.send(delivery(2), moment(200)).data
    assert station.receive(confirm(sent), moment(201)).happenings == (Acknowledged(tag=2),)
    assert not station.is_ready
    assert station.receive(confirm(sent), moment(205)) == Step()
    assert station.is_ready


def test_a_second_confirm_that_stays_away_ends_the_connection_and_not_the_delivery():
    station = dialogue(keepalive_s=1000.0)
    (sent,) = station.send(delivery(1), moment(0)).data
    station.receive(confirm(sent), moment(1))
    station.receive(confirm(sent), moment(2))
    (sent,) = station.send(delivery(2), moment(3)).data
    assert station.receive(confirm(sent), moment(4)).happenings == (Acknowledged(tag=2),)
    (over,) = station.tick(moment(14)).happenings
    assert isinstance(over, Over)


def test_confirms_of_repeats_are_not_too_many():
    station = dialogue(keepalive_s=1000.0)
    (sent,) = station.send(delivery(1), moment(0)).data
    station.tick(moment(10))
    station.receive(confirm(sent), moment(11))
    station.receive(confirm(sent), moment(12))
    (sent,) = station.send(delivery(2), moment(13)).data
    station.receive(confirm(sent), moment(14))
    assert station.is_ready


def test_a_second_confirm_in_the_same_piece_is_never_the_next_frames():
    station = dialogue()
    (sent,) = station.send(delivery(content=BOTH), moment(0)).data
    told = station.receive(2 * confirm(sent), moment(1))
    assert told.happenings == (Partly(tag=1, frames=1), *UNASKED.happenings)
    (second,) = told.data
    assert parse(second).func != parse(sent).func
    assert not station.is_ready
