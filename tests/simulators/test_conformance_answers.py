"""`qushui-sim conformance platform` names what came in place of a right acknowledgement, and guesses nothing else."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest

from agent.messages import LANGUAGES, Messages
from simulators.conformance import platform_cases
from simulators.conformance.link_runner import run
from simulators.conformance.platform_link import PlatformLink
from simulators.conformance.platform_sides import side_of
from simulators.conformance.report import reason_text
from simulators.conformance.verdict import Verdict
from simulators.platforms.centre.server import CentreServer
from tests.agent.uplinks.sl651_frames import sealed
from tests.simulators.test_conformance_links import PROTOCOLS, link_of, platform, verdicts

Answer = Callable[[bytes], bytes]


@contextmanager
def answering(answer: Answer) -> Iterator[int]:
    """A platform of SL 651 whose every answer is made from the whole report; its port."""

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(4096):
                connection.sendall(answer(data))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield port


def ack_with(sent: str, *, function: int | None = None, end: str = "1B") -> Answer:
    """The acknowledgement of fact sheet §9.1, with this send time."""

    def made(report: bytes) -> bytes:
        addresses = report[3:8] + report[2:3] + report[8:10]
        named = report[10:11] if function is None else bytes([function])
        return sealed(
            b"\x7e\x7e" + addresses + named + bytes.fromhex("8008 02") + report[14:16] + bytes.fromhex(sent + end)
        )

    return made


NOW = datetime.now(timezone(timedelta(hours=8)))
RIGHT = ack_with(f"{NOW:%y%m%d%H%M%S}")


@pytest.mark.parametrize(
    ("answer", "verdict", "reason", "clause"),
    [
        (RIGHT, Verdict.PASSED, "acknowledged", "6.3.1"),
        (ack_with("FFFFFFFFFFFF"), Verdict.FAILED, "ack-time", "6.6.2.5"),
        (ack_with(f"{NOW - timedelta(days=400):%y%m%d%H%M%S}"), Verdict.DIFFERS, "ack-clock", "9.1"),
        (lambda report: b"\x00noise" + RIGHT(report), Verdict.FAILED, "answer-broken", "6.2.2"),
        (ack_with(f"{NOW:%y%m%d%H%M%S}", function=0x33), Verdict.FAILED, "miss-function", "9.1"),
        (ack_with(f"{NOW:%y%m%d%H%M%S}", end="05"), Verdict.FAILED, "miss-end", "4"),
        (lambda report: report, Verdict.FAILED, "miss-direction", "6.5.2"),
        (lambda _report: b"HTTP/1.1 400 Bad Request", Verdict.FAILED, "answer-broken", "6.2.2"),
    ],
)
def test_what_came_in_place_of_a_right_acknowledgement_is_named(
    answer: Answer, verdict: Verdict, reason: str, clause: str
) -> None:
    cases = [case for case in platform_cases.CASES["sl651"] if case.id == "platform.report"]
    with answering(answer) as port:
        link = PlatformLink(address=("127.0.0.1", port), side=side_of(link_of("sl651")), limit_s=1.0)
        (outcome,) = run(cases, link)
        link.close()
    assert (outcome.finding.verdict, outcome.finding.reason) == (verdict, reason)
    assert outcome.clause.number == clause
    for lang in LANGUAGES:
        assert "conformance." not in reason_text(Messages(lang), outcome)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_where_nothing_is_ever_acknowledged_the_harder_steps_stay_open(protocol: str) -> None:
    with CentreServer(protocol, ack="never") as centre:
        found = platform(centre)
    assert set(verdicts(found, Verdict.FAILED)) == {"report", "kinds"}
    assert set(verdicts(found, Verdict.UNDECIDED).values()) == {"never-acknowledged"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_late_answer_is_not_taken_for_one_to_a_damaged_report(protocol: str) -> None:
    with CentreServer(protocol, ack="normal,late:1.2") as centre:
        found = platform(centre, "report", "again", "check-sum")
    assert found["check-sum"].reason != "bad-check-answered"
