"""The newest signed head goes to every platform that takes it, and holds up no reading."""

from __future__ import annotations

import os

import pytest

from agent.model import Outcome, Receipt
from tests.agent.test_forward import accept, running
from tests.forwarding import MemoryStore, ScriptedUplink, lost, until


class Keeper(ScriptedUplink):
    """A platform that takes heads, and answers each with `answer`."""

    takes_heads = True

    def __init__(self, answer: Outcome = Outcome.ACCEPTED) -> None:
        super().__init__(accept)
        self.answer = answer
        self.heads: list[str] = []

    def send_head(self, head: str, tag: int) -> None:
        self.heads.append(head)
        self._open += 1
        self._events.append(Receipt(tag=tag, outcome=self.answer, reason="WHY"))
        os.eventfd_write(self._event, 1)


def test_a_head_goes_out_once_on_each_connection_and_when_there_is_a_newer_one():
    store, uplink = MemoryStore(head="one"), Keeper()
    with running(store, uplink) as run:
        until(lambda: uplink.heads == ["one"], 5, "the first head")
        store.head = "two"
        store.add(10)
        until(lambda: uplink.heads == ["one", "two"], 5, "the newer head")
        uplink._events.append(lost())
        os.eventfd_write(uplink._event, 1)
        until(lambda: uplink.heads == ["one", "two", "two"], 5, "the head after a new connection")
        until(lambda: store.owed() == 0, 5, "the rounds")
        assert run.log.events.count(("head.acknowledged", {})) == 3


@pytest.mark.parametrize("answer", [Outcome.RETRY, Outcome.REJECTED])
def test_a_refused_head_parks_nothing_and_holds_up_no_round(answer: Outcome):
    store, uplink = MemoryStore(head="one"), Keeper(answer)
    with running(store, uplink) as run:
        until(lambda: uplink.heads == ["one"], 5, "the head")
        store.add(100)
        until(lambda: store.owed() == 0, 5, "the rounds")
        assert run.forwarder.snapshot()["state"] == "connected"
    assert uplink.accepted == list(range(1, 101))
    assert uplink.heads == ["one"]
    assert not store.listed
    assert not run.faults.open


def test_a_platform_without_a_place_for_heads_gets_none():
    store, uplink = MemoryStore(head="one"), ScriptedUplink(accept)
    with running(store, uplink):
        store.add(10)
        until(lambda: store.owed() == 0, 5, "the rounds")
    assert uplink.accepted == list(range(1, 11))
