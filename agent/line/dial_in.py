"""A line whose DTU dials in: where its connection and its line meet, and the line's port on it.

Strategy: the listeners' thread (`listening.py`) owns all sockets, reads them as soon as something comes and puts it in
the DTU's inbox; the line's thread takes it from there and writes its questions itself, which never blocks. The newest
connection of a DTU is the only one: what an older one still brings has no way into the inbox. A line that closes its
port leaves the DTU connected: whether a connection lives is the kernel's word (keepalive, unacknowledged data), not
that of a meter that does not answer.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo

from agent.clock import Clock, date_of
from agent.dtu import Strainer
from agent.line.ports import LineDownError, WireSettings
from agent.settings import DialInSettings

_MOST_UNREAD = 4096  # bytes; more has come between two questions than any answer has
_WAIT_STEP_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One connection of a DTU: its socket (never blocking) and where it came from."""

    socket: socket.socket
    peer: str


class Dtu:
    """One DTU as its line sees it, through all its connections. Methods may be called from any thread."""

    def __init__(self, settings: DialInSettings, *, clock: Clock, zone: Callable[[], tzinfo]) -> None:
        """`zone` is the time zone in which people are told since when it is away."""
        self.settings = settings
        self.strainer = Strainer(settings.heartbeat, settings.registration)
        self._heartbeats = Strainer(settings.heartbeat)
        self._clock = clock
        self._zone = zone
        self._changed = threading.Condition()
        self._link: Link | None = None
        self._trouble = ""
        self._away_since_ms = clock.boot_ms()
        self._ready_at_s = 0.0
        self._owed_until_s = 0.0
        self._inbox = bytearray()
        self._unanswered_beat = b""
        self.dialled = 0

    # --- the listeners' side

    def failed(self, detail: str) -> None:
        """Nobody can dial in: the address cannot be listened on. "" when it can again."""
        with self._changed:
            self._trouble = detail

    def bound(self, link: Link) -> Link | None:
        """From now on `link` is the connection; gives the one it replaces, for the listeners to close."""
        with self._changed:
            before, self._link = self._link, link
            self._inbox.clear()
            self._unanswered_beat = b""
            self._ready_at_s = self._owed_until_s
            self.dialled += 1
            self._send_aside(link, self.settings.registration_answer)
            self._changed.notify_all()
        return before

    def lost(self, link: Link) -> bool:
        """`link` has ended; false when it was not the connection any more."""
        with self._changed:
            if self._link is not link:
                return False
            self._forget()
            return True

    def heard(self, link: Link, data: bytes) -> None:
        """Takes in what came; answers heartbeats where the DTU expects it."""
        with self._changed:
            if self._link is not link:
                return
            self._inbox += data
            del self._inbox[:-_MOST_UNREAD]
            if self.settings.heartbeat_answer and self._is_heartbeat(data):
                self._send_aside(link, self.settings.heartbeat_answer)
            self._changed.notify_all()

    def names(self, data: bytes) -> bool:
        """Whether a connection that began with `data` is this DTU's."""
        registration = self.settings.registration
        return registration is None or any(map(registration.names, {data, self._heartbeats.strained(data)}))

    def _is_heartbeat(self, data: bytes) -> bool:
        """Whether what came, with what it continues, is heartbeats and nothing else: an answer may hold those bytes."""
        came = self._unanswered_beat + data
        rest = self._heartbeats.strained(came)
        self._unanswered_beat = came if self._heartbeats.is_beginning(came) else b""
        return not rest

    def _send_aside(self, link: Link, packet: bytes) -> None:
        try:
            if packet and link.socket.send(packet) < len(packet):
                self._abandon(link)
        except OSError:
            self._abandon(link)

    def _abandon(self, link: Link) -> None:
        """Wakes the listeners, which close it."""
        self._forget()
        try:
            link.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended by itself

    def _forget(self) -> None:
        self._link = None
        self._inbox.clear()
        self._away_since_ms = self._clock.boot_ms()
        self._changed.notify_all()

    # --- the line's side

    def link(self, patience_s: float = 0.0) -> Link:
        """The connection, waiting for it at most `patience_s`. Raises LineDownError while there is none to use."""
        give_up_s = self._clock.monotonic() + patience_s
        with self._changed:
            while self._link is None and (left_s := give_up_s - self._clock.monotonic()) > 0:
                self._changed.wait(min(left_s, _WAIT_STEP_S))
            if self._link is None:
                raise self._away()
            left_s = self._ready_at_s - self._clock.monotonic()
            if left_s > 0:
                raise LineDownError(f"{self._name}: has dialled in; answers to the last connection are waited out")
            return self._link

    def ask(self, link: Link, data: bytes, late_s: float) -> None:
        """Sends a question, whose answer may come for `late_s`; what came before it cannot be its answer."""
        with self._changed:
            self._check(link)
            self._inbox.clear()
            try:
                sent = link.socket.send(data)
            except OSError as error:  # a full send queue included: nothing has got through for long
                self._abandon(link)
                raise LineDownError(f"{self._name}: {error}") from error
            if sent < len(data):
                self._abandon(link)
                raise LineDownError(f"{self._name}: only {sent} of {len(data)} bytes could be sent")
            self._owed_until_s = self._clock.monotonic() + late_s

    def received(self, link: Link, timeout_s: float) -> bytes:
        """What has come through `link`, waiting at most `timeout_s`. Raises LineDownError when it has ended."""
        with self._changed:
            self._check(link)
            if not self._inbox and timeout_s > 0:
                self._changed.wait(timeout_s)
                self._check(link)
            data = bytes(self._inbox)
            self._inbox.clear()
            if self.strainer.strained(data):
                self._owed_until_s = 0.0
            return data

    def _check(self, link: Link) -> None:
        if self._link is None:
            raise self._away()
        if self._link is not link:
            raise LineDownError(f"{self._name}: has dialled in anew")

    def _away(self) -> LineDownError:
        if self._trouble:
            return LineDownError(f"{self.settings.listen}: {self._trouble}")
        since = "the start"
        if self._clock.synced:
            at = date_of(self._away_since_ms + self._clock.offset_ms).astimezone(self._zone())
            since = at.isoformat(timespec="seconds")
        return LineDownError(f"{self._name}: has not dialled in since {since}")

    @property
    def _name(self) -> str:
        registration = self.settings.registration
        return f"{self.settings.listen}: DTU" if registration is None else f"{self.settings.listen}: DTU {registration}"

    @property
    def peer(self) -> str:
        """Where it is connected from; "" while it is not."""
        with self._changed:
            return "" if self._link is None else self._link.peer


class DialInPort:
    """A line's port on a DTU that dials in."""

    is_serial = False

    def __init__(self, dtu: Dtu, *, late_s: float, patience_s: float = 0.0) -> None:
        """An answer may come `late_s` after its question; `open` waits `patience_s` for the DTU."""
        self.dtu = dtu
        self._late_s = late_s
        self._patience_s = patience_s
        self._link: Link | None = None

    def open(self) -> None:
        """Takes up the DTU's connection."""
        self._link = self.dtu.link(self._patience_s)

    def close(self) -> None:
        """Lets go of the connection; the DTU stays connected."""
        self._link = None

    def configure(self, wire: WireSettings) -> None:
        """Nothing to set: the DTU has the serial settings."""

    def write(self, data: bytes) -> None:
        """Sends a question."""
        self.dtu.ask(self._open_link, data, self._late_s)

    def read(self, timeout_s: float) -> bytes:
        """What has arrived."""
        return self.dtu.received(self._open_link, timeout_s)

    @property
    def _open_link(self) -> Link:
        if self._link is None:
            raise LineDownError(f"{self.dtu.settings.listen}: not open")
        return self._link
