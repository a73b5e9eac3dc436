"""Who answers whom: addresses, time tags of a moment, confirms of reports. Pure.

A confirm names no report: it has the address and the AFN and nothing else, so that only one report may wait for one.

Source: SZY206, address field; time tag; confirm of C0H. SL/T 427-2021: confirm with time tag.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agent.uplinks.szy206_wire.codecs import Content, hex_bytes
from agent.uplinks.szy206_wire.content import compose, decode
from agent.uplinks.szy206_wire.frame import Frame
from agent.uplinks.szy206_wire.names import CONFIRMED, STANDARD, ContentError, Dialect, Edition

BROADCAST = 65535  # station number that means all
_STATIONS = range(1, BROADCAST)
_NUMBER = 2
_DIVISION = 3


def address_of(division: str, number: int, *, is_high_first: bool = False) -> bytes:
    """The 5 address bytes of a station: `division` 6 digits, `number` 1...65534.

    Raises:
        ContentError: either is out of range.
    """
    if number not in _STATIONS or not division.isdecimal():
        raise ContentError(f"division {division!r}, station {number!r}: 6 digits, and 1 to 65534")
    return hex_bytes(division, _DIVISION) + number.to_bytes(_NUMBER, "big" if is_high_first else "little")


def tag_of(moment: datetime, edition: Edition, *, delay_min: int = 0, is_without_seconds: bool = False) -> Content:
    """The time tag of `moment`, which is local to the station; 7 bytes in the 2021 edition, else 5.

    `delay_min` 0 switches the receiver's check off, as data that is sent again needs it. `is_without_seconds`: some
    platforms take second 00 only; the second is cut.
    """
    second = 0 if is_without_seconds else moment.second
    if edition is Edition.SLT427:
        return {"time": moment.replace(second=second, tzinfo=None).isoformat("T", "seconds"), "delay_min": delay_min}
    return {
        "sec": second,
        "min": moment.minute,
        "hour": moment.hour,
        "day": moment.day,
        "delay_min": delay_min,
    }


def can_date(moment: datetime, now: datetime, edition: Edition) -> bool:
    """Whether a receiver that gets the tag of `moment` at `now` (both local) dates it right.

    A 5-byte tag has no month: receivers take their own.
    """
    return edition is Edition.SLT427 or (moment.year, moment.month) == (now.year, now.month)


def is_confirm_of(answer: Frame, report: Frame, dialect: Dialect = STANDARD) -> bool:
    """Whether `answer` confirms `report`: from the centre, same address and AFN, and a work mode in it.

    FCB and type code are not compared: centres return the received ones, or 3 and 0.
    """
    same = (answer.afn, answer.address) == (report.afn, report.address)
    if answer.is_up or not same or report.afn not in CONFIRMED or answer.divs is not None:
        return False
    return "work_mode" in decode(answer, dialect)


def confirm_of(report: Frame, mode: int, *, tag: Content | None = None, dialect: Dialect = STANDARD) -> Frame:
    """The centre's confirm of a report; `mode` becomes the station's work mode, `tag` (2021) its clock.

    Raises:
        ContentError: this AFN is not confirmed so, or a value does not fit.
    """
    if report.afn not in CONFIRMED:
        raise ContentError(f"AFN {report.afn:02X} is not confirmed with a work mode")
    content: dict[str, Any] = {"work_mode": mode} | ({} if tag is None else {"tp": tag})
    body = compose(content, is_up=False, afn=report.afn, dialect=dialect)
    return Frame(is_up=False, func=0, fcb=report.fcb, address=report.address, afn=report.afn, body=body)
