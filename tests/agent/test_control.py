"""The daemon's local socket, with real sockets and a real clock."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from agent import control
from agent.clock import SystemClock
from agent.control import ControlError, ControlServer, DaemonAwayError, call
from tests.forwarding import until


@contextmanager
def served(path: Path, handlers: dict[str, Callable[[dict[str, Any]], object]]) -> Iterator[threading.Event]:
    stop, beaten = threading.Event(), threading.Event()
    server = ControlServer(path, handlers, clock=SystemClock("host"), log=structlog.get_logger())
    thread = threading.Thread(target=server.run, args=(stop, beaten.set))
    thread.start()
    assert beaten.wait(5)
    try:
        yield beaten
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(control, "_LOOK_S", 0.02)
    return tmp_path / "control.sock"


def echo(arguments: dict[str, Any]) -> object:
    return {"heard": arguments}


def raw(path: Path, data: bytes) -> list[dict[str, Any]]:
    """Everything the server answers to these bytes, until it closes or one second passes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(8)
        client.connect(str(path))
        answers = []
        with suppress(ConnectionError), client.makefile("rb") as stream:  # it may close on what it has not read
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            for line in stream:
                answers.append(json.loads(line))  # noqa: PERF401 - those before a reset count
        return answers


def test_a_command_is_carried_out_and_its_result_comes_back(path: Path) -> None:
    with served(path, {"read": echo}):
        assert call(path, "read", {"meter": "主表"}, 5) == {"heard": {"meter": "主表"}}


def test_several_commands_share_one_connection(path: Path) -> None:
    with served(path, {"read": echo}), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        with client.makefile("rwb") as stream:
            for number in range(3):
                stream.write(json.dumps({"verb": "read", "arguments": {"n": number}}).encode() + b"\n")
                stream.flush()
                assert json.loads(stream.readline()) == {"ok": True, "result": {"heard": {"n": number}}}


def test_a_refused_command_comes_back_as_a_code_with_arguments(path: Path) -> None:
    def refuse(_: dict[str, Any]) -> object:
        raise ControlError("NO_SUCH_METER", value="x")

    with served(path, {"read": refuse}), pytest.raises(ControlError) as refused:
        call(path, "read", {}, 5)
    assert (refused.value.code, refused.value.arguments) == ("NO_SUCH_METER", {"value": "x"})


def test_whoever_asked_is_told_at_once_of_what_nobody_expected(path: Path) -> None:
    def fail(_: dict[str, Any]) -> object:
        raise UnicodeError("byte 0x9a")

    with served(path, {"read": fail, "status": echo}):
        with pytest.raises(ControlError, match="FAILED") as failed:
            call(path, "read", {}, 5)
        assert "0x9a" in str(failed.value.arguments["error"])
        assert call(path, "status", {}, 5) == {"heard": {}}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"\x00\xff garbage\n", "NOT_JSON"),
        (b"[" * 60_000 + b"\n", "NOT_JSON"),
        (b"[1, 2]\n", "NOT_A_COMMAND"),
        (b'{"verb": "read"}\n', "NOT_A_COMMAND"),
        (b'{"verb": "read", "arguments": {}, "more": 1}\n', "NOT_A_COMMAND"),
        (b'{"verb": 7, "arguments": {}}\n', "NOT_A_COMMAND"),
        (b'{"verb": "erase", "arguments": {}}\n', "NO_SUCH_VERB"),
        (b"x" * (control.REQUEST_MOST + 1), "TOO_LONG"),
    ],
)
def test_garbage_is_answered_and_closed_without_effect(path: Path, line: bytes, code: str) -> None:
    done: list[object] = []
    with served(path, {"read": done.append}):
        good = b'{"verb": "read", "arguments": {}}\n'
        assert [answer["code"] for answer in raw(path, line)] == [code]
        assert [answer["code"] for answer in raw(path, line.rstrip(b"\n") + b"\n" + good)] == [code]
    assert done == []


def test_a_command_that_is_cut_off_has_no_effect(path: Path) -> None:
    done: list[object] = []
    with served(path, {"read": done.append}):
        assert raw(path, b'{"verb": "read", "arguments": {}}') == []
    assert done == []


def test_a_client_that_is_too_slow_is_told_and_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "IDLE_S", 0.2)
    with served(path, {"read": echo}), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        client.sendall(b"{")
        with client.makefile("rb") as stream:
            assert json.loads(stream.readline())["code"] == "TOO_SLOW"
            assert stream.readline() == b""


def test_the_ninth_client_is_told_to_come_back(path: Path) -> None:
    with served(path, {"read": echo}):
        clients = []
        for _ in range(control.CLIENTS_MOST):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(path))
            clients.append(client)
        with pytest.raises(ControlError) as refused:
            call(path, "read", {}, 5)
        assert refused.value.code == "TOO_MANY_CLIENTS"
        for client in clients:
            client.close()
        for _ in range(50):  # the places are free again once the server saw them leave
            try:
                assert call(path, "read", {}, 5) == {"heard": {}}
                break
            except ControlError:
                threading.Event().wait(0.02)
        else:
            pytest.fail("no place became free")


def test_a_slow_command_stops_neither_the_others_nor_the_beat(path: Path) -> None:
    finish = threading.Event()
    with served(path, {"slow": lambda _: finish.wait(10), "read": echo}) as beaten:
        answers: list[object] = []
        asking = threading.Thread(target=lambda: answers.append(call(path, "slow", {}, 10)))
        asking.start()
        assert call(path, "read", {}, 5) == {"heard": {}}
        beaten.clear()
        assert beaten.wait(5)
        finish.set()
        asking.join(10)
        assert answers == [True]


def test_only_owner_and_group_may_ask(path: Path) -> None:
    with served(path, {}):
        assert stat.S_IMODE(path.lstat().st_mode) == 0o660


def test_who_asked_is_logged(path: Path) -> None:
    with capture_logs() as events, served(path, {"read": echo}):
        call(path, "read", {"meter": "m"}, 5)
        raw(path, b"garbage\n")
        until(lambda: len(_commands(events)) == 2, 5, "the log")
    carried_out, refused = _commands(events)
    assert carried_out == {
        "event": "command.carried_out",
        "verb": "read",
        "arguments": {"meter": "m"},
        "uid": os.getuid(),
        "pid": os.getpid(),
        "log_level": "info",
    }
    assert (refused["event"], refused["code"], refused["uid"]) == ("command.refused", "NOT_JSON", os.getuid())


def _commands(events: list[Any]) -> list[Any]:
    return [event for event in list(events) if event["event"].startswith("command.")]


def test_the_socket_is_gone_after_the_stop(path: Path) -> None:
    with served(path, {}):
        assert path.exists()
    assert not path.exists()
    with pytest.raises(DaemonAwayError):
        call(path, "status", {}, 1)


def test_the_socket_of_a_killed_daemon_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with pytest.raises(DaemonAwayError):
        call(path, "status", {}, 1)
    with served(path, {"read": echo}):
        assert call(path, "read", {}, 5) == {"heard": {}}


def test_a_living_daemon_is_not_pushed_aside(path: Path) -> None:
    with served(path, {"read": echo}):
        second = ControlServer(path, {}, clock=SystemClock("host"), log=structlog.get_logger())
        with pytest.raises(FileExistsError):
            second.run(threading.Event(), lambda: None)
        assert call(path, "read", {}, 5) == {"heard": {}}


def test_a_file_of_that_name_is_not_deleted(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        ControlServer(path, {}, clock=SystemClock("host"), log=None).run(threading.Event(), lambda: None)
    assert path.read_text() == "precious"


def test_a_directory_deeper_than_a_socket_address_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with served(deep / "control.sock", {"read": echo}):
        assert call(deep / "control.sock", "read", {}, 5) == {"heard": {}}


def test_an_answer_that_does_not_come_is_said(path: Path) -> None:
    finish = threading.Event()
    with served(path, {"slow": lambda _: finish.wait(10)}):
        with pytest.raises(ControlError) as refused:
            call(path, "slow", {}, 0.1)
        finish.set()
    assert refused.value.code == "NO_ANSWER"
