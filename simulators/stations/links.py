"""What differs between stations of the two protocols: addresses, dialogues, frames made by hand. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from agent.uplinks.dialogue import Dialogue
from agent.uplinks.sl651.dialogue import Sl651Dialogue
from agent.uplinks.sl651.encode import sent_digits
from agent.uplinks.sl651.options import WireOptions as Sl651Options
from agent.uplinks.sl651_wire.codes import Encoding, Function
from agent.uplinks.sl651_wire.link import Link as Sl651Frames
from agent.uplinks.szy206.dialogue import Szy206Dialogue
from agent.uplinks.szy206.options import WireOptions as Szy206Options
from agent.uplinks.szy206_wire.content import compose
from agent.uplinks.szy206_wire.frame import Frame
from agent.uplinks.szy206_wire.names import Afn

DEFAULT_STATION = MappingProxyType({"sl651": "4302810001", "szy206": "4302810100"})
LAST_STATION = 60_000
_DIVISION = 6  # digits
_FLIPPED = 0xFFFF


class Link(Protocol):
    """The stations of one run towards one centre."""

    protocol: str
    has_password: bool

    def dialogue(self, address: str, next_serial: Callable[[], int], *, is_forged: bool = False) -> Dialogue:
        """A station's side of one connection; `is_forged`: with another password."""
        ...

    def idle(self, address: str, serial: int, now_ms: int) -> bytes:
        """A keep-alive."""
        ...

    def oversize(self, address: str) -> bytes:
        """The head of a frame that announces more than will ever come."""
        ...

    def numbered(self, first: str, place: int) -> str:
        """The address of station number `place`, counted from `first`."""
        ...


class Sl651Link:
    """SL 651 stations: the last two bytes of an address are the number, high byte first."""

    protocol = "sl651"
    has_password = True

    def __init__(self, options: Sl651Options) -> None:
        self.options = options

    def dialogue(self, address: str, next_serial: Callable[[], int], *, is_forged: bool = False) -> Dialogue:
        """The product's own."""
        password = self.options.password
        if is_forged:
            password = f"{int(password, 16) ^ _FLIPPED:04X}"
        options = replace(self.options, station=address, password=password)
        return Sl651Dialogue(options, next_serial=next_serial, allows_sets=True)

    def idle(self, address: str, serial: int, now_ms: int) -> bytes:
        """2F."""
        options = self.options
        frames = Sl651Frames(
            centre=options.centre, station=address, password=options.password, encoding=options.encoding
        )
        return frames.report(Function.KEEPALIVE, serial=serial, sent=sent_digits(now_ms, options)).encode()

    def oversize(self, address: str) -> bytes:
        """LEN 4095."""
        head = bytes([self.options.centre]) + bytes.fromhex(address + self.options.password) + b"\x32\x0f\xff"
        if self.options.encoding is Encoding.ASCII:
            return b"\x01" + head.hex().upper().encode("ascii") + b"\x02"
        return b"\x7e\x7e" + head + b"\x02"

    def numbered(self, first: str, place: int) -> str:
        """High byte first."""
        return first[:_DIVISION] + f"{_number(int(first[_DIVISION:], 16), place):04X}"


class Szy206Link:
    """SZY206 stations: the number is the last two bytes of an address, low byte first."""

    protocol = "szy206"
    has_password = False  # of what a station sends nothing carries one

    def __init__(self, options: Szy206Options) -> None:
        self.options = options

    def dialogue(
        self,
        address: str,
        next_serial: Callable[[], int],  # noqa: ARG002 - frames have no serials
        *,
        is_forged: bool = False,  # noqa: ARG002 - nor passwords
    ) -> Dialogue:
        """The product's own."""
        return Szy206Dialogue(replace(self.options, station=address), allows_sets=True)

    def idle(self, address: str, serial: int, now_ms: int) -> bytes:  # noqa: ARG002 - one byte says all
        """F2."""
        body = compose({"link": "F2 keep-alive"}, is_up=True, afn=Afn.LINK)
        return Frame(is_up=True, func=0, address=bytes.fromhex(address), afn=Afn.LINK, body=body).to_bytes()

    def oversize(self, address: str) -> bytes:
        """L 255."""
        return b"\x68\xff\x68\xb3" + bytes.fromhex(address) + b"\xc0"

    def numbered(self, first: str, place: int) -> str:
        """Low byte first."""
        number = int.from_bytes(bytes.fromhex(first[_DIVISION:]), "little")
        return first[:_DIVISION] + _number(number, place).to_bytes(2, "little").hex().upper()


def _number(first: int, place: int) -> int:
    """Numbers 1 to 60000, round about."""
    return (first - 1 + place) % LAST_STATION + 1


LINKS: Mapping[str, type[Sl651Link | Szy206Link]] = MappingProxyType({"sl651": Sl651Link, "szy206": Szy206Link})
