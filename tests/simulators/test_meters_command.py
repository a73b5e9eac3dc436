"""`qushui-sim meters FILE`: every mistake at its line, orders while it runs, the log and the counters."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.form.problems import FormErrors
from agent.messages import LANGUAGES, Messages, problem_lines
from simulators import cli
from simulators.meters.orders import carry_out
from simulators.meters.station import load
from tests.simulators.far_end import SerialClient, ask_tcp, read_request

SOUND = """\
lines:
  bus: {pty: bus, latency: 2ms, strict: true}
  lan: {tcp: "127.0.0.1:0", latency: 0ms}
meters:
  flow: {line: bus, profile: tuf2000, address: "1", values: {volume_forward: 28785.5, status: [empty_pipe]}}
  units: {line: bus, profile: tuf2000, address: "2", values: {volume_forward: 0.5},
          registers: {holding: {1437: 1, 1438: 3}}}
  kwh: {line: lan, profile: eastron-sdm630, address: "7", mischief: [{kind: dead, period: 2}]}
"""
WRONG = """\
lines:
  a: {pty: a, strict: perhaps}
  b: {tcp: "127.0.0.1:0", baud: 9600}
  c: {latency: 5ms}
  d: {pty: d, tcp: "127.0.0.1:0"}
  e: {pty: e, max_connections: 3, framing: rtu}
  f: {pty: f, framing: tcp}
  g: {pty: e}
  h: {tcp: "127.0.0.1:70000"}
meters:
  no-line: {line: busy, profile: tuf2000, address: "1"}
  no-profile: {line: b, profile: tuf200, address: "1"}
  no-such-unit: {line: b, profile: tuf2000, address: "300"}
  quantity: {line: b, profile: tuf2000, address: "1", values: {volume_foward: 1}}
  value: {line: b, profile: tuf2000, address: "1", values: {volume_forward: 99999999999999999}}
  flag: {line: b, profile: tuf2000, address: "1", values: {status: [battery_low]}}
  kind: {line: b, profile: tuf2000, address: "1", mischief: [{kind: daed}]}
  option: {line: b, profile: tuf2000, address: "1", mischief: [{kind: dead}, {kind: dead, factor: 3}]}
  cannot: {line: b, profile: tuf2000, address: "1", mischief: [{kind: not_bcd}]}
  word: {line: b, profile: tuf2000, address: "1", registers: {holding: {1437: 70000}}}
  table: {line: b, profile: tuf2000, address: "1", registers: {holdings: {1437: 0}}}
  poll: {line: b, profile: tuf2000, address: "1", poll: 5s}
"""
EXPECTED = {  # line: code
    2: "switch", 3: "serial-on-tcp", 4: "sim-pty-or-tcp", 5: "sim-pty-and-tcp", 6: "sim-tcp-on-pty",
    7: "framing-on-port", 8: "port-taken", 9: "host-port",
    11: "line", 12: "profile", 13: "spec.address", 14: "meter-quantity", 15: "sim-too-big",
    16: "sim-no-flag", 17: "choice", 18: "mischief-option", 19: "sim-mischief", 20: "sim-register", 21: "choice",
    22: "unknown-key",
}  # fmt: skip


class Running:
    """The command as a process; its events, one by one."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child

    def event(self) -> dict[str, Any]:
        assert self.child.stdout is not None
        found: dict[str, Any] = json.loads(self.child.stdout.readline())
        return found

    def order(self, **order: Any) -> dict[str, Any]:
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(order) + "\n")
        self.child.stdin.flush()
        return self.event()


@contextmanager
def running(directory: Path, *options: str) -> Iterator[tuple[Running, dict[str, Any]]]:
    file = directory / "meters.yaml"
    file.write_text(SOUND, encoding="utf-8")
    argv = [str(Path(sys.executable).with_name("qushui-sim")), "meters", str(file), "--json", *options]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            process = Running(child)
            ready = process.event()
            assert ready["event"] == "meters.ready"
            yield process, ready["lines"]
        finally:
            child.kill()


def test_every_mistake_in_the_file_is_found_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "meters.yaml"
    file.write_text(WRONG, encoding="utf-8")
    with pytest.raises(FormErrors) as caught:
        load(file)
    assert {problem.line: problem.code for problem in caught.value.problems} == EXPECTED


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_wrong_file_is_explained_and_ends_with_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lang: str
) -> None:
    file = tmp_path / "meters.yaml"
    file.write_text(WRONG, encoding="utf-8")
    assert cli.main(["meters", str(file), "--lang", lang]) == 2
    said = capsys.readouterr().err
    assert said.count(f"{file}:") == len(EXPECTED)
    assert f"{file}:14:64: meters.quantity.values.volume_foward: " in said
    assert "volume_forward" in said.splitlines()[11]
    assert "form." not in said  # every code has its sentence


def test_the_sentences_are_there_in_both_languages() -> None:
    chinese, english = (Messages(lang).keys() for lang in LANGUAGES)
    assert {key for key in chinese if key.startswith("sim.")} == {key for key in english if key.startswith("sim.")}


def test_a_port_that_cannot_be_had_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "meters.yaml"
    file.write_text(SOUND, encoding="utf-8")
    (tmp_path / "bus").write_text("in the way")
    assert cli.main(["meters", str(file), "--lang", "en"]) == 1
    assert str(tmp_path / "bus") in capsys.readouterr().err
    assert (tmp_path / "bus").read_text() == "in the way"


def test_the_file_is_served_until_a_signal_and_everything_is_recorded(tmp_path: Path) -> None:
    log, stats = tmp_path / "log", tmp_path / "stats.json"
    with running(tmp_path, "--log", str(log), "--stats", str(stats)) as (process, lines):
        assert lines["bus"] == {"pty": str(tmp_path / "bus"), "meters": ["flow", "units"]}
        request = read_request(1, 8, 4)
        with SerialClient(lines["bus"]["pty"]) as client:
            sent = client.send(request)
            chunks = client.chunks(13)
            reply = b"".join(data for _, data in chunks)
        assert reply[3:-2] == bytes.fromhex("7071 0000 0000 3F00")
        assert ask_tcp(int(lines["lan"]["tcp"].rpartition(":")[2]), bytes.fromhex("000100000006070400480002"))
        process.child.send_signal(signal.SIGTERM)
        assert process.event()["event"] == "meters.stats"
        assert process.child.wait(10) == 0
    assert not (tmp_path / "bus").is_symlink()
    records = (json.loads(line) for line in log.read_text().splitlines())
    first, second = sorted(records, key=lambda each: each["t"])  # each bus writes with its own thread
    assert (first["line"], first["meter"], first["early"]) == ("bus", "flow", False)
    assert (first["request_hex"], first["reply_hex"]) == (request.hex(), reply.hex())
    assert sent <= first["t"] + 1e-6
    assert first["t"] < first["at"] / 1e9 <= chunks[0][0]
    assert (second["line"], second["meter"]) == ("lan", "kwh")
    counts = json.loads(stats.read_text())["lines"]
    assert counts["bus"]["answered"] == counts["bus"]["meters"]["flow"] == 1
    assert counts["bus"]["early"] == 0


def test_units_given_as_registers_are_kept(tmp_path: Path) -> None:
    (tmp_path / "meters.yaml").write_text(SOUND, encoding="utf-8")
    units = load(tmp_path / "meters.yaml")["bus"].meters["units"]
    words = units.image.memory()["holding"]
    assert words[1437] == 1  # litres
    assert [words[8 + at] for at in range(4)] == [500, 0, 0, 0]


def test_orders_change_values_and_mischief_and_unplug_a_line(tmp_path: Path) -> None:
    with running(tmp_path) as (process, lines):
        port = int(lines["lan"]["tcp"].rpartition(":")[2])
        energy = bytes.fromhex("000100000006070400480002")
        assert process.order(meter="kwh", set={"energy_import": "2.5"}, mischief=[])["event"] == "meters.order-done"
        assert ask_tcp(port, energy)[9:] == bytes.fromhex("40200000")
        assert process.order(meter="kwh", mischief=[{"kind": "exception", "code": 6}])["event"] == "meters.order-done"
        assert ask_tcp(port, energy)[7:] == b"\x84\x06"
        assert process.order(line="bus", plugged=False)["event"] == "meters.order-done"
        assert not (tmp_path / "bus").is_symlink()
        assert process.order(line="bus", plugged=True)["event"] == "meters.order-done"
        with SerialClient(lines["bus"]["pty"]) as client:
            assert len(client.ask(read_request(1, 8, 4), 13)) == 13
        assert process.order(stats=True)["event"] == "meters.order-done"
        counts = process.event()["lines"]
        assert counts["lan"]["answered"] == 2


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"meter": "nobody", "mischief": []}, "sim-meter"),
        ({"meter": "kwh", "set": {"level": 1}}, "meter-quantity"),
        ({"meter": "kwh", "set": {"energy_import": "much"}}, "number"),
        ({"meter": "kwh", "set": {"energy_import": "1e60"}, "mischief": []}, "sim-too-big"),
        ({"meter": "kwh", "set": {"energy_import": ["empty_pipe"]}}, "sim-no-number"),
        ({"meter": "kwh", "mischief": [{"kind": "asleep"}]}, "choice"),
        ({"meter": "kwh", "mischief": {"kind": "dead"}}, "list"),
        ({"meter": "kwh", "mischief": [{"kind": "not_bcd"}]}, "sim-mischief"),
        ({"line": "nowhere", "plugged": True}, "line"),
        ({"line": "bus", "plugged": "yes"}, "switch"),
        ({"line": "bus"}, "sim-order"),
        ({"sleep": 1}, "unknown-key"),
        ([1, 2], "file-no-mapping"),
        ("dead", "file-no-mapping"),
    ],
)
def test_orders_that_make_no_sense_are_refused_and_change_nothing(tmp_path: Path, order: object, code: str) -> None:
    (tmp_path / "meters.yaml").write_text(SOUND, encoding="utf-8")
    lines = load(tmp_path / "meters.yaml")
    kwh = lines["lan"].meters["kwh"]
    before = kwh.mischief, kwh.values
    with pytest.raises(FormErrors) as caught:
        carry_out(json.dumps(order), lines)
    assert code in {problem.code for problem in caught.value.problems}
    assert (kwh.mischief, kwh.values) == before
    for lang in LANGUAGES:
        assert all("form." not in line for line in problem_lines(Messages(lang), caught.value.problems))


def test_the_end_of_stdin_is_not_the_end_of_the_meters(tmp_path: Path) -> None:
    with running(tmp_path) as (process, lines):
        assert process.child.stdin is not None
        process.child.stdin.write("nonsense\n")
        process.child.stdin.close()
        refused = process.event()
        assert (refused["event"], refused["problems"][0]["code"]) == ("meters.order-refused", "file-no-mapping")
        with SerialClient(lines["bus"]["pty"]) as client:
            assert len(client.ask(read_request(1, 8, 4), 13)) == 13


def test_a_time_can_be_given(tmp_path: Path) -> None:
    with running(tmp_path, "--seconds", "0.2") as (process, _):
        assert process.child.wait(10) == 0
