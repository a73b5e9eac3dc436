"""What the log looks like to journald, to a person, and to libraries."""

from __future__ import annotations

import io
import json
import logging

import pytest

from agent import logs
from tests.fakes import FakeClock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_its_data_in_keys():
    stream = io.StringIO()
    log = logs.set_up(clock=FakeClock(), stream=stream)
    log.bind(line="rs485-1").info("line.opened", name="三号泵房", wait_s=1.5)
    assert lines(stream) == [
        {
            "at": "2026-09-21T14:15:00.000+00:00",
            "level": "info",
            "event": "line.opened",
            "line": "rs485-1",
            "name": "三号泵房",
            "wait_s": 1.5,
        }
    ]


def test_events_below_the_level_are_not_written():
    stream = io.StringIO()
    log = logs.set_up(clock=FakeClock(), level="warning", stream=stream)
    log.info("line.opened")
    log.warning("line.lost")
    assert [each["event"] for each in lines(stream)] == ["line.lost"]


def test_a_failure_carries_its_traceback_on_the_same_line():
    stream = io.StringIO()
    log = logs.set_up(clock=FakeClock(), stream=stream)
    try:
        int("a defect")
    except ValueError:
        log.exception("thread.restarted")
    (line,) = lines(stream)
    assert line["level"] == "error"
    assert "ValueError: invalid literal" in str(line["exception"])


def test_what_a_library_complains_of_is_a_detail_for_debugging_only():
    stream = io.StringIO()
    logs.set_up(clock=FakeClock(), stream=stream)
    logging.getLogger("pymodbus.logging").error("no answer from %s", "unit 7")
    assert not stream.getvalue()
    stream = io.StringIO()
    logs.set_up(clock=FakeClock(), level="debug", stream=stream)
    logging.getLogger("pymodbus.logging").error("no answer from %s", "unit 7")
    (line,) = lines(stream)
    assert (line["level"], line["event"], line["logger"]) == ("debug", "library.logged", "pymodbus.logging")
    assert line["message"] == "no answer from unit 7"


def test_a_terminal_gets_something_readable():
    stream = Terminal()
    logs.set_up(clock=FakeClock(), stream=stream).info("line.opened", line="rs485-1")
    assert "line.opened" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_journald_gets_the_priority_it_sorts_by(monkeypatch: pytest.MonkeyPatch, tmp_path):
    file = tmp_path / "journal"
    with file.open("w") as stream:
        status = file.stat()
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        log = logs.set_up(clock=FakeClock(), stream=stream)
        log.info("line.opened")
        log.error("store.refused")
    assert [line[:4] for line in file.read_text(encoding="utf-8").splitlines()] == ["<6>{", "<3>{"]
