"""The daemon's local socket: carries out what a person at the gateway asks, and logs who asked.

Strategy: one JSON object per line each way. A thread per client, because a command may take as long as a poll and must
neither stop the others nor this worker's beat; there are at most `CLIENTS_MOST`. A line has a length, a client a time
to say it in: what breaks either, or is no command, is answered, closed and has no effect. Only the owner and the group
of the socket may connect (mode 0660); the socket of a daemon that was killed is replaced.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agent.clock import Clock

REQUEST_MOST = 1024 * 1024
"""Bytes of a request line, its end included: a frozen quarter is 10 kB an intake, and must come in one piece."""
CLIENTS_MOST = 8
IDLE_S = 5.0
"""Seconds in which a client must say its line, and read its answer."""

_REPLY_MOST = 16 * 1024 * 1024  # a station of a thousand meters has a status of half a megabyte
_MODE = 0o660
_LOGGED_MOST = 200  # characters of an argument
_PARTS_OF_ONE = frozenset({"ask"})  # a scan asks some hundred times
_LOOK_S = 0.5  # how often the stop is looked at
_PEER = struct.Struct("3i")  # SO_PEERCRED, unix(7): pid, uid, gid

Handler = Callable[[dict[str, Any]], object]


class ControlError(Exception):
    """Why a command was not carried out: `code` names the sentence `control.wrong.CODE`, `arguments` fill it."""

    def __init__(self, code: str, **arguments: object) -> None:
        super().__init__(f"{code} {arguments}")
        self.code = code
        self.arguments = arguments


class DaemonAwayError(Exception):
    """No daemon listens at this socket."""


def socket_path(store_path: Path) -> Path:
    """Where the daemon whose store is `store_path` listens."""
    return store_path.with_name("control.sock")


def call(path: Path, verb: str, arguments: Mapping[str, object], timeout_s: float) -> Any:
    """What the daemon at `path` answers to the command.

    Raises:
        DaemonAwayError: none listens there.
        PermissionError: this user may not ask.
        ControlError: it did not carry out the command, or not within `timeout_s` (NO_ANSWER).
    """
    request = json.dumps({"verb": verb, "arguments": dict(arguments)}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout_s)
        try:
            with _short(path) as address:
                client.connect(address)
            client.sendall(request)
            with client.makefile("rb") as stream:
                line = stream.readline(_REPLY_MOST)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise DaemonAwayError(str(path)) from error
        except (TimeoutError, ConnectionError) as error:
            raise ControlError("NO_ANSWER", waited_s=timeout_s) from error
    if not line.endswith(b"\n"):
        raise ControlError("NO_ANSWER", waited_s=timeout_s)
    answer = json.loads(line)
    if not answer["ok"]:
        raise ControlError(answer["code"], **answer["arguments"])
    return answer["result"]


class ControlServer:
    """The worker that listens at `path`; `handlers` maps verbs to what carries them out and may raise ControlError."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler], *, clock: Clock, log: Any) -> None:
        self._path = path
        self._handlers = handlers
        self._clock = clock
        self._log = log
        self._clients: dict[threading.Thread, socket.socket] = {}

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Listens until `stop`. Raises OSError when it cannot, for example because another daemon does."""
        with socket.socket(socket.AF_UNIX) as listener:
            ours = _listen(listener, self._path)
            try:
                while not stop.is_set():
                    beat()
                    self._clients = {thread: client for thread, client in self._clients.items() if thread.is_alive()}
                    with suppress(TimeoutError):
                        self._take(listener.accept()[0])
            finally:
                with suppress(FileNotFoundError):
                    if self._path.lstat().st_ino == ours:
                        self._path.unlink()
                self._dismiss()

    def _take(self, client: socket.socket) -> None:
        client.settimeout(IDLE_S)
        if len(self._clients) >= CLIENTS_MOST:
            with client:
                _answer(client, _refusal(ControlError("TOO_MANY_CLIENTS", most=CLIENTS_MOST)))
            return
        thread = threading.Thread(target=self._serve, args=(client,), name="control:client", daemon=True)
        self._clients[thread] = client
        thread.start()

    def _dismiss(self) -> None:
        for client in self._clients.values():
            with suppress(OSError):
                client.shutdown(socket.SHUT_RD)  # one that waits for a line leaves; one at work still answers
        deadline = self._clock.monotonic() + IDLE_S
        for thread in self._clients:
            thread.join(max(0.0, deadline - self._clock.monotonic()))

    def _serve(self, client: socket.socket) -> None:
        pid, uid, _ = _PEER.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        log = self._log.bind(uid=uid, pid=pid)
        buffer = bytearray()
        with client:
            try:
                while line := self._line(client, buffer):
                    answer = self._carry_out(line, log)
                    if not _answer(client, answer) or not answer["ok"]:
                        return
            except ControlError as refused:
                log.warning("command.refused", code=refused.code)
                _answer(client, _refusal(refused))

    def _line(self, client: socket.socket, buffer: bytearray) -> bytes:
        """The next request line; b"" when the client left. Raises ControlError when it is too long or too slow."""
        deadline = self._clock.monotonic() + IDLE_S
        while b"\n" not in buffer:
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0:
                raise ControlError("TOO_SLOW", most_s=IDLE_S)
            client.settimeout(left_s)
            try:
                data = client.recv(REQUEST_MOST + 1 - len(buffer))
            except TimeoutError:
                continue
            except ConnectionError:
                return b""
            if not data:
                return b""
            buffer += data
            if len(buffer) > REQUEST_MOST:
                raise ControlError("TOO_LONG", most=REQUEST_MOST)
        client.settimeout(IDLE_S)
        end = buffer.index(b"\n") + 1
        line = bytes(buffer[:end])
        del buffer[:end]
        return line

    def _carry_out(self, line: bytes, log: Any) -> dict[str, object]:
        try:
            verb, arguments = _request(line)
            answer = {"ok": True, "result": self._handler(verb)(arguments)}
        except ControlError as refused:
            log.warning("command.refused", code=refused.code, line=line[:200].decode(errors="replace").rstrip())
            return _refusal(refused)
        except Exception as error:  # noqa: BLE001 - who asked is told, and the next one is served
            return _failure(error, line, log)
        if verb in _PARTS_OF_ONE:
            log.debug("command.carried_out", verb=verb, arguments=arguments)
        else:
            log.info(
                "command.carried_out", verb=verb, arguments={name: _logged(each) for name, each in arguments.items()}
            )
        return answer

    def _handler(self, verb: str) -> Handler:
        if verb not in self._handlers:
            raise ControlError("NO_SUCH_VERB", value=verb[:40], known=", ".join(sorted(self._handlers)))
        return self._handlers[verb]


def _request(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested without end
        raise ControlError("NOT_JSON") from error
    match request:
        case {"verb": str(verb), "arguments": dict(arguments)} if len(request) == 2:  # noqa: PLR2004 - nothing else
            return verb, arguments
        case _:
            raise ControlError("NOT_A_COMMAND")


def _logged(value: object) -> object:
    """An argument as the log shows it: what is long is in the books, not in the journal."""
    return value if len(text := str(value)) <= _LOGGED_MOST else f"{text[:_LOGGED_MOST]}…"


def _failure(error: Exception, line: bytes, log: Any) -> dict[str, object]:
    log.error("command.failed", line=_logged(line.decode(errors="replace")), traceback=traceback.format_exc())
    return _refusal(ControlError("FAILED", error=repr(error)[:_LOGGED_MOST]))


def _refusal(refused: ControlError) -> dict[str, object]:
    return {"ok": False, "code": refused.code, "arguments": refused.arguments}


def _answer(client: socket.socket, answer: Mapping[str, object]) -> bool:
    """Whether the client took the whole answer."""
    try:
        client.sendall(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
    except OSError:  # it left, or does not read; timeouts are OSErrors
        return False
    return True


def _listen(listener: socket.socket, path: Path) -> int:
    """Listens at `path` in place of a dead daemon's socket; gives the inode. The name appears with its mode set."""
    if path.exists() and not stat.S_ISSOCK(path.lstat().st_mode):
        raise FileExistsError(f"{path} is not a socket")
    with socket.socket(socket.AF_UNIX) as probe, suppress(FileNotFoundError, ConnectionRefusedError):
        with _short(path) as address:
            probe.connect(address)
        raise FileExistsError(f"another daemon listens at {path}")
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with _short(fresh) as address:
        listener.bind(address)
    fresh.chmod(_MODE)
    listener.listen(CLIENTS_MOST)
    listener.settimeout(_LOOK_S)
    fresh.replace(path)
    return path.lstat().st_ino


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for `path` that fits a socket address (108 bytes), however deep the directory is."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
