import json

from agent.faults import FaultCode
from agent.store import faults
from agent.store.faults import COUNT_EVERY_S
from agent.store.pace import HOLD_S
from agent.store.store import Store
from tests.agent.store.conftest import ROOMY, fill
from tests.fakes import START_MS

METER = "meter/main-flow"


def test_a_fault_is_logged_at_its_edges_only_and_counted_in_between(site):
    store = site.open()
    for _ in range(5):
        store.faults.raised(FaultCode.METER_NO_REPLY, METER, waited_s=1.0)
    (fault,) = store.faults.open()
    assert (fault.code, fault.place, fault.count, fault.evidence) == ("METER-NO-REPLY", METER, 5, {"waited_s": "1.0"})
    store.faults.cleared(FaultCode.METER_NO_REPLY, METER)
    store.faults.cleared(FaultCode.METER_NO_REPLY, METER)
    assert store.faults.open() == ()
    assert len(site.events("fault.raised")) == 1
    assert [keys["count"] for keys in site.events("fault.cleared")] == [5]


def test_a_fault_gets_its_row_with_the_next_commit_of_rounds(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    fill(store, 1)
    store.faults.raised(FaultCode.METER_BAD_CHECKSUM, METER, received_hex="01 03 FF")
    reader = site.reader()
    assert reader.faults(open_only=True) == []
    fill(store, 1)
    (fault,) = reader.faults(open_only=True)
    assert fault.is_open
    assert fault.evidence == {"received_hex": "01 03 FF"}
    assert fault.began_at_ms == START_MS + site.clock.boot_ms()
    site.clock.advance(30)
    store.faults.cleared(FaultCode.METER_BAD_CHECKSUM, METER)
    fill(store, 1)
    assert reader.faults(open_only=True) == []
    (fault,) = reader.faults(open_only=False)
    assert fault.ended_at_ms == fault.began_at_ms + 30_000


def test_a_fault_is_written_even_when_no_round_comes_any_more(site):
    store = site.open()
    fill(store, 1)
    store.faults.raised(FaultCode.LINE_DOWN, "line/rs485-1")
    site.clock.advance(HOLD_S + 0.1)
    assert store._is_due()


def test_a_growing_count_is_written_once_a_minute_at_most(site):
    store = site.open()
    reader = site.reader()
    store.faults.raised(FaultCode.METER_NO_REPLY, METER)
    fill(store, 1)

    def written():
        return reader.faults(open_only=True)[0].count

    store.faults.raised(FaultCode.METER_NO_REPLY, METER)
    fill(store, 1)
    assert written() == 1
    site.clock.advance(COUNT_EVERY_S)
    fill(store, 1)
    assert written() == 2
    store.faults.raised(FaultCode.METER_NO_REPLY, METER)
    store.close()
    assert site.reader().faults(open_only=True)[0].count == 3


def test_a_fault_that_outlives_a_restart_is_not_said_again(site):
    store = site.open()
    store.date_boot(START_MS, "host")
    store.faults.raised(FaultCode.METER_NO_REPLY, METER, waited_s=1)
    store.close()
    began_ms = site.reader().faults(open_only=True)[0].began_at_ms
    store = site.open()
    store.faults.raised(FaultCode.METER_NO_REPLY, METER, waited_s=2)
    assert len(site.events("fault.raised")) == 1
    store.close()
    (fault,) = site.reader().faults(open_only=True)
    assert (fault.count, fault.began_at_ms, fault.evidence) == (2, began_ms, {"waited_s": "2"})


def test_a_fault_raised_before_the_store_was_opened_is_kept(site):
    first = site.open()
    first.faults.raised(FaultCode.METER_NO_REPLY, METER)
    first.close()
    store = Store(site.path, clock=site.clock, log=site.log, **ROOMY)
    store.faults.raised(FaultCode.CONFIG_REFUSED, "config", line=3)
    store.open()
    store.close()
    assert [each.code for each in site.reader().faults(open_only=True)] == ["METER-NO-REPLY", "CONFIG-REFUSED"]


def test_the_same_code_at_two_places_is_two_faults(site):
    store = site.open()
    store.faults.raised(FaultCode.METER_NO_REPLY, "meter/a")
    store.faults.raised(FaultCode.METER_NO_REPLY, "meter/b")
    store.faults.cleared(FaultCode.METER_NO_REPLY, "meter/a")
    assert [each.place for each in store.faults.open()] == ["meter/b"]


def test_evidence_is_kept_as_text_in_any_script(site):
    store = site.open()
    store.faults.raised(FaultCode.LINE_HELD, "line/rs485-1", holder="上位机 (pid 7)")
    store.flush()
    assert json.loads(site.sql("SELECT evidence FROM fault")[0][0]) == {"holder": "上位机 (pid 7)"}


def test_old_ended_faults_go_and_open_ones_stay(site, monkeypatch):
    monkeypatch.setattr(faults, "MOST_FAULTS", 50)
    store = site.open()
    store.faults.raised(FaultCode.LINE_DOWN, "line/old")
    for number in range(1020):
        store.faults.raised(FaultCode.METER_NO_REPLY, f"meter/m{number}")
        store.faults.cleared(FaultCode.METER_NO_REPLY, f"meter/m{number}")
    fill(store, 1)
    assert 40 <= len(site.sql("SELECT id FROM fault")) <= 75
    assert [each.place for each in site.reader().faults(open_only=True)] == ["line/old"]
