"""A simulated centre's side of one SL 651 connection: acknowledges as it is told to, asks, judges. Pure.

Strategy: who is at the other end is learned from each sound frame: station, centre number and password are answered as
they came. Everything that came is kept and judged; what breaks a rule of its body is not acknowledged, a wrong value
is. A report is acknowledged as the plan says, an answer to an order by the third step of M4.

Source: SL 651-2014 6.3 (modes), 6.6.2.4 (serial numbers), 6.6.5 (repeats), 6.6.4, annex B; the sheet's §21.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from agent.uplinks.sl651_wire.body import HEADER_SIZE, header_of
from agent.uplinks.sl651_wire.codes import BodyError, Control, Direction, Encoding, Function, function_name
from agent.uplinks.sl651_wire.fields import frame_fields
from agent.uplinks.sl651_wire.frame import Frame
from agent.uplinks.sl651_wire.packets import Assembly, confirmation, refusal
from agent.uplinks.sl651_wire.parts import LAST_SERIAL, SECOND, digits_of
from simulators.platforms.centre.behaviour import NORMAL, Ack
from simulators.platforms.centre.contract import (
    GARBAGE_S,
    Answered,
    Heard,
    Memory,
    Moment,
    Parcel,
    Pending,
    Posed,
    Report,
    Seen,
    Turn,
    Unanswered,
    Wrong,
    is_full,
    parcels_of,
    spoilt,
)
from simulators.platforms.centre.refusals import OrderError
from simulators.platforms.centre.sl651_checks import judged, unreadable, values_of
from simulators.platforms.centre.sl651_options import Sl651Options
from simulators.platforms.centre.sl651_orders import ENDS, Downlink, link_of
from simulators.platforms.centre.sl651_serials import numbered
from simulators.platforms.centre.sl651_stream import Stream, sent_as

SENDS = 3  # 6.6.5
_ASSEMBLY_S = 180.0
_MOST_PACKET_BYTES = 1 << 18
_MOST_MISSING = 32  # packets asked for again at once
_REPORTS = range(0x30, 0x37)
_SELF_REPORTED = frozenset(
    {Function.READ_BASIC, Function.READ_RUN, Function.CONTROL_PUMP, Function.CONTROL_VALVE, Function.CONTROL_GATE}
)
_FIRST_OF_USER = 0xE0
_WRONG_SERIAL = 0x5A5A  # added to the right one
_DIGEST = 16


class Sl651Centre:
    """See `simulators.platforms.centre.contract.CentreDialogue`."""

    def __init__(self, options: Sl651Options, memory: Memory) -> None:
        self.station = ""
        memory.options = options
        self._memory = memory
        self._stream = Stream(options.dialect)
        self._assembly = Assembly(_MOST_PACKET_BYTES)
        self._total = 0  # packets of the body at hand
        self._refused: dict[int, int] = {}  # how often each packet was asked for again
        self._whole: Frame | None = None  # put together, and refused once by the plan
        self._began_s = math.inf  # the first packet that is not put together yet
        self._heard_s = 0.0
        self._last: Frame | None = None  # tells how to address the station
        self._asked: Pending | None = None
        self._waiting: deque[Downlink] = deque()
        self._sends = ("", 0)  # the last report on this connection and how often it came
        self._posed: set[int] = set()  # functions that were asked for on this connection

    @property
    def _options(self) -> Sl651Options:
        """As they are now: they may change while a connection stands."""
        options: Sl651Options = self._memory.options
        return options

    @property
    def deadline_s(self) -> float:
        """The next repeat of an order, or giving up of half a frame or of packets."""
        waits = [self._began_s + _ASSEMBLY_S]
        if self._asked is not None:
            waits.append(self._asked.until_s)
        if self._stream.waiting:
            waits.append(self._heard_s + GARBAGE_S)
        return min(waits)

    def receive(self, data: bytes, now: Moment) -> Turn:
        """Takes what arrived."""
        self._heard_s = now.s
        turn = Turn()
        self._take(self._stream.feed(data), now, turn)
        self._name_trouble(turn)
        return turn

    def ask(self, downlink: Downlink, now: Moment) -> Turn:
        """Sends an order when the one before is settled. Raises OrderError."""
        if self._last is None:
            raise OrderError("not-heard")
        if is_full(self._waiting):
            raise OrderError("too-many", station=self.station)
        downlink.frame(link_of(self._last), now)
        turn = Turn()
        self._waiting.append(downlink)
        self._ask_next(now, turn)
        return turn

    def tick(self, now: Moment) -> Turn:
        """Repeats an order twice, then gives it up (§21.6); gives up half a frame and packets without the rest."""
        turn = Turn()
        if self._stream.waiting and now.s >= self._heard_s + GARBAGE_S:
            self._give_up_frame(now, turn)
        if now.s >= self._began_s + _ASSEMBLY_S:
            self._give_up_packets()
            turn.events.append(self._wrong("packets_missing", "6.3.1.2", seconds=int(_ASSEMBLY_S)))
        asked = self._asked
        if asked is not None and now.s >= asked.until_s:
            if asked.tries < SENDS:
                self._pose(asked, now, turn)
            else:
                self._asked = None
                turn.events.append(Unanswered(order=asked.order, station=self.station))
                self._ask_next(now, turn)
        return turn

    def end(self, now: Moment) -> Turn:
        """Says what the connection's end left unfinished: a frame, packets."""
        turn = Turn()
        if self._stream.waiting:
            self._give_up_frame(now, turn)
        if self._assembly.missing:
            count = len(self._assembly.missing)
            turn.events.append(replace(self._wrong("packets_left", "6.3.1.2", count=count), is_failed=False))
        turn.parcels.clear()
        return turn

    # --- frames that came

    def _take(self, frames: Sequence[Frame], now: Moment, turn: Turn) -> None:
        for frame in frames:
            first, function = len(turn.events), f"{frame.function:02X}"
            data = sent_as(frame, self._stream.raw, self._options.dialect)
            turn.events.append(Heard(station=frame.station, function=function, data=data))
            if self._is_ours(frame, turn):
                if data != data.upper() and frame.encoding is Encoding.ASCII:
                    turn.events.append(replace(self._wrong("lower_case", "sheet §19"), is_failed=False))
                self._frame(frame, now, turn)
            turn.proved(first, data)

    def _name_trouble(self, turn: Turn) -> None:
        """What is wrong with the bytes that belonged to no sound frame."""
        trouble = self._stream.trouble()
        if trouble is not None:
            turn.events.append(replace(trouble, station=self.station))

    def _give_up_frame(self, now: Moment, turn: Turn) -> None:
        unfinished = self._stream.unfinished()
        self._take(self._stream.idle(), now, turn)
        turn.events.append(replace(unfinished, station=self.station))

    def _is_ours(self, frame: Frame, turn: Turn) -> bool:
        """Whether a frame is answered; wrong password or centre: never (§21.2)."""
        self.station = frame.station
        options = self._options
        if frame.direction is not Direction.UP:
            turn.events.append(self._wrong("direction", "6.5.2"))
            return False
        if options.centre not in {None, frame.centre}:
            turn.events.append(self._wrong("foreign_centre", "6.2.3.1", received=frame.centre, expected=options.centre))
            return False
        if options.password not in {None, frame.password}:
            turn.events.append(self._wrong("wrong_password", "6.2.3.3", received=frame.password))
            return False
        self._last = frame
        return True

    def _frame(self, frame: Frame, now: Moment, turn: Turn) -> None:
        if frame.packet is not None:
            self._packet(frame, now, turn)
        elif frame.function == Function.KEEPALIVE:
            turn.events.append(Seen(station=frame.station, word="keepalive"))
            turn.events += judged(frame, {}, now.at)
        else:
            self._complete(frame, now, turn)

    def _packet(self, frame: Frame, now: Moment, turn: Turn) -> None:
        """One of several: nothing is answered before the last one (6.3.1.2); the plan may refuse the first once."""
        assert frame.packet is not None
        total, number = frame.packet
        if self._whole is not None and frame.function == self._whole.function:
            whole, self._whole = self._whole, None
            self._complete(whole, now, turn, total)
            return
        self._began_s = min(self._began_s, now.s)
        is_last = number == total or number in self._refused  # what was asked for again ends with ETX, too
        if frame.end is not (Control.ETX if is_last else Control.ETB):
            turn.events.append(
                self._wrong("packet_end", "6.3.1.2", number=number, total=total, received=frame.end.name)
            )
        if self._assembly.missing and self._total != total:
            turn.events.append(self._wrong("packet_total", "6.5.3", before=self._total, received=total))
        self._total = total
        try:
            joined = self._assembly.add(frame)
        except BodyError as error:
            self._give_up_packets()
            turn.events.append(self._wrong(error.code, str(error.arguments["clause"]), **error.arguments))
            return
        if joined is not None:
            self._give_up_packets()
            if any(ack.is_refusal for ack in self._memory.plan):
                self._whole = joined
                turn.parcels.append(self._plain(refusal(frame, 1, sent=self._digits(now), serial=0), "nak 1", now))
            else:
                self._complete(joined, now, turn, total)
        elif frame.end is Control.ETX:
            self._ask_again(frame, now, turn)

    def _ask_again(self, frame: Frame, now: Moment, turn: Turn) -> None:
        """One NAK for each packet that is missing, at most twice each."""
        assert frame.packet is not None
        missing = self._assembly.missing[:_MOST_MISSING]
        for number in missing:
            self._refused[number] = self._refused.get(number, 0) + 1
            if self._refused[number] >= SENDS:
                self._give_up_packets()
                turn.events.append(self._wrong("packets_missing", "6.3.1.2", seconds=0))
                return
        for number in missing:
            refused = refusal(frame, number, sent=self._digits(now))
            turn.parcels.append(self._plain(refused, f"nak {number}", now))

    def _give_up_packets(self) -> None:
        self._assembly.clear()
        self._refused.clear()
        self._began_s = math.inf

    def _complete(self, frame: Frame, now: Moment, turn: Turn, packets: int = 0) -> None:
        """A whole body, that of `packets` joined; they are confirmed together with the last one's number."""
        try:
            fields = frame_fields(frame, self._options.dialect)
        except BodyError as error:
            turn.events.append(unreadable(frame, error))
            return
        turn.events += judged(frame, fields, now.at, is_joined=packets > 0)
        if self._asked is not None and self._asked.downlink.function == frame.function:
            self._answered(frame, fields, now, turn, packets)
            return
        is_report = frame.function in _REPORTS or frame.function in _SELF_REPORTED
        if not is_report and frame.function < _FIRST_OF_USER:
            turn.events.append(self._unasked(frame))
            turn.parcels.append(self._plain(self._confirmed(frame, now, packets=packets), "confirm", now))
            return
        self._reported(frame, fields, now, turn, packets)

    def _unasked(self, frame: Frame) -> Wrong:
        """An answer to nothing; one to a question that was repeated, or given up, only comes late."""
        function = f"{frame.function:02X}"
        if frame.function in self._posed:
            return replace(self._wrong("answered_late", "sheet §21", function=function), is_failed=False)
        if function_name(frame.function) == "reserved":
            return self._wrong("reserved_function", "B", function=function)
        return self._wrong("unasked", "sheet §9", function=function)

    # --- reports

    def _reported(self, frame: Frame, fields: dict[str, object], now: Moment, turn: Turn, packets: int) -> None:
        header = header_of(frame)
        assert header is not None
        body = frame.payload[HEADER_SIZE * (2 if frame.encoding is Encoding.ASCII else 1) :]
        digest = hashlib.sha256(body).hexdigest()[:_DIGEST]
        key = f"{frame.station}/{frame.function:02X}/{header.serial}/{digest}"
        known = self._memory.of(frame.station)
        turn.events += numbered(known, key, frame.station)
        self._sends = (key, self._sends[1] + 1 if self._sends[0] == key else 1)
        if self._sends[1] == SENDS + 1:
            turn.events.append(self._wrong("too_many_sends", "6.6.5", serial=header.serial, limit=SENDS))
        known.reported(key, header.serial)
        groups = fields.get("groups")
        observed = str(groups[0]["obs_time"]).replace(" ", "T") if isinstance(groups, list) and groups else ""
        report = Report(
            key=key,
            station=frame.station,
            function=f"{frame.function:02X}",
            serial=header.serial,
            observed=observed,
            sent=str(fields["send_time"]).replace(" ", "T"),
            values=values_of(fields),
            fields=fields,
        )
        turn.events.append(report)
        ack = self._memory.next_ack(frame.station)
        if ack.answers:
            self._acknowledge(frame, ack, now, turn, packets)

    def _acknowledge(self, frame: Frame, ack: Ack, now: Moment, turn: Turn, packets: int) -> None:
        known = self._memory.of(frame.station)
        key = known.last_key
        header = header_of(frame)
        assert header is not None
        previous = known.previous_serial or header.serial - 1 or LAST_SERIAL
        serial = {"wrong": header.serial ^ _WRONG_SERIAL or 1, "previous": previous}.get(ack.serial, header.serial)
        settled = [key] if ack.settles else []
        answer = self._spoilt(self._confirmed(frame, now, ack, serial, packets), ack)
        frames = [answer.encode(self._options.dialect)]
        before = known.previous_key
        if ack.glue == "ack" and before:
            frames.insert(0, self._confirmed(frame, now, ack, known.previous_serial).encode(self._options.dialect))
        if before.startswith(f"{frame.station}/{frame.function:02X}/") and (ack.glue == "ack" or ack.settles_previous):
            settled.insert(0, before)
        known.acknowledged.update(each for each in settled if each in known.recent)
        if ack.ruin == "crc":
            frames[-1] = spoilt(frames[-1])
        if ack.glue == "query" and self._asked is None:
            frames.append(self._glued_query(now, turn))
        turn.parcels.extend(parcels_of(frames, ack, now, station=frame.station, about=key, settles=tuple(settled)))

    def _confirmed(
        self, frame: Frame, now: Moment, ack: Ack = NORMAL, serial: int | None = None, packets: int = 0
    ) -> Frame:
        """The acknowledgement of a frame: ACK behind ETB, else the end that is wanted."""
        end = Control.ACK if frame.end is Control.ETB else ENDS[ack.end or self._options.end]
        answer = confirmation(frame, sent=self._digits(now), end=end, serial=serial)
        if packets:
            answer = replace(answer, packet=(packets, packets))
        if ack.serial == "none":
            answer = replace(answer, payload=b"")
        if ack.is_refusal:
            answer = replace(answer, end=Control.NAK, packet=(1, 1))
        return answer

    @staticmethod
    def _spoilt(answer: Frame, ack: Ack) -> Frame:
        if ack.ruin == "password":
            return replace(answer, password=f"{int(answer.password, 16) ^ 0x1111:04X}")
        if ack.ruin == "address":
            return replace(answer, station=f"{int(answer.station, 16) ^ 0x10001:010X}")
        return answer

    # --- orders and their answers

    def _glued_query(self, now: Moment, turn: Turn) -> bytes:
        """The query that shares a segment with an acknowledgement."""
        assert self._last is not None
        downlink = Downlink(name="37", function=Function.QUERY_REALTIME)
        self._asked = Pending(next(self._memory.orders), downlink, 1, now.s + self._options.timeout_s)
        self._posed.add(downlink.function)
        turn.events.append(Posed(order=self._asked.order, station=self.station, name=downlink.name))
        return downlink.frame(link_of(self._last), now).encode(self._options.dialect)

    def _ask_next(self, now: Moment, turn: Turn) -> None:
        if self._asked is None and self._waiting:
            downlink = self._waiting.popleft()
            self._asked = Pending(next(self._memory.orders), downlink)
            turn.events.append(Posed(order=self._asked.order, station=self.station, name=downlink.name))
            self._pose(self._asked, now, turn)

    def _pose(self, asked: Pending, now: Moment, turn: Turn) -> None:
        assert self._last is not None
        asked.tries += 1
        self._posed.add(asked.downlink.function)
        asked.until_s = now.s + self._options.timeout_s
        turn.parcels.append(self._plain(asked.downlink.frame(link_of(self._last), now), asked.downlink.name, now))

    def _answered(self, frame: Frame, fields: dict[str, object], now: Moment, turn: Turn, packets: int) -> None:
        """The third step of M4: the centre confirms the answer."""
        assert self._asked is not None
        function = f"{frame.function:02X}"
        data = frame.encode(self._options.dialect)
        turn.events.append(
            Answered(order=self._asked.order, station=frame.station, function=function, fields=fields, data=data)
        )
        if self._options.confirms_answers:
            turn.parcels.append(self._plain(self._confirmed(frame, now, packets=packets), "confirm", now))
        if frame.end is Control.ETX:
            self._asked = None
        self._ask_next(now, turn)

    def _plain(self, frame: Frame, name: str, now: Moment) -> Parcel:
        return Parcel(station=frame.station, name=name, pieces=(frame.encode(self._options.dialect),), at_s=now.s)

    def _digits(self, now: Moment) -> str:
        return digits_of(now.at, SECOND, now.zone)

    def _wrong(self, code: str, clause: str, /, **arguments: object) -> Wrong:
        return Wrong(station=self.station, code=code, clause=clause, arguments=arguments)
