"""One station's connection at a simulated centre: its socket, its dialogue, what is owed to it and when."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import socket
import struct

from simulators.platforms.centre.contract import CentreDialogue, Parcel

_CHUNK = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER, zero seconds: close() sends RST
MOST_OWED = 1 << 18  # bytes; a station that lets so much wait takes nothing any more
_NO_PROGRESS_S = 30.0


class Link:
    """A connection. `due_s` is when it wants to be looked at next."""

    def __init__(self, number: int, socket_: socket.socket, dialogue: CentreDialogue, now_s: float) -> None:
        self.number = number
        self.socket = socket_
        self.dialogue = dialogue
        self.station = ""  # as it was last told to the archive
        self.mask = 0
        self.heard_s = now_s
        self.due_s = math.inf
        self._parcels: list[tuple[float, int, Parcel]] = []
        self._order = itertools.count()
        self._going: Parcel | None = None
        self._pieces: list[bytes] = []
        self._next_s = 0.0  # when the next piece may go
        self._owed = 0
        self._took_s = now_s

    @property
    def wants_to_write(self) -> bool:
        """Whether the network did not take what was due."""
        return self._going is not None and self._next_s == -math.inf

    def owe(self, parcel: Parcel) -> bool:
        """Takes a parcel to be sent; False where too much is owed already."""
        self._owed += len(parcel.data)
        heapq.heappush(self._parcels, (parcel.at_s, next(self._order), parcel))
        return self._owed <= MOST_OWED

    def ready_s(self) -> float:
        """When something is to be sent, infinity for nothing."""
        if self._going is not None:
            return math.inf if self._next_s == -math.inf else self._next_s
        return self._parcels[0][0] if self._parcels else math.inf

    def send(self, now_s: float) -> list[Parcel]:
        """Sends what is due, as far as it goes, and gives the parcels that have gone whole. Raises OSError."""
        gone: list[Parcel] = []
        while self._begin(now_s):
            assert self._going is not None
            if self._next_s > now_s:
                break
            try:
                sent = self.socket.send(self._pieces[0][:_CHUNK])
            except BlockingIOError:
                self._next_s = -math.inf
                if now_s - self._took_s > _NO_PROGRESS_S:
                    raise ConnectionAbortedError("takes nothing") from None
                break
            self._took_s = now_s
            self._owed -= sent
            self._pieces[0] = self._pieces[0][sent:]
            self._next_s = now_s
            if not self._pieces[0]:
                self._pieces.pop(0)
                self._next_s = now_s + self._going.gap_s
            if not self._pieces:
                gone.append(self._going)
                self._going = None
                if gone[-1].ends:
                    break
        return gone

    def close(self, *, is_reset: bool = False) -> None:
        """Ends it at once; with RST where that is wanted."""
        with contextlib.suppress(OSError):
            if is_reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.socket.close()

    def _begin(self, now_s: float) -> bool:
        """Whether a parcel is on its way, taking the next one that is due."""
        if self._going is None and self._parcels and self._parcels[0][0] <= now_s:
            self._going = heapq.heappop(self._parcels)[2]
            self._pieces = [piece for piece in self._going.pieces if piece]
            self._next_s = self._took_s = now_s
            if not self._pieces:
                self._pieces = [b""]
        return self._going is not None
