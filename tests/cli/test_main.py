"""The command line as a whole: finding verbs, languages, wrong input, quiet ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import types
from importlib.metadata import version

import pytest

from agent import page
from agent.cli.main import VERBS, main
from agent.messages import LANGUAGES, Messages


def qushui(*words: str, **arguments: object) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "LANG": "en_US.UTF-8", "LC_ALL": "", "TERM": "xterm", "PYTHONWARNINGS": "error"}
    return subprocess.run(  # noqa: PLW1510
        [sys.executable, "-m", "agent.cli", *words],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        **arguments,
    )


def test_without_a_verb_it_lists_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb} " in out for verb in VERBS)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_in_both_languages(capsys: pytest.CaptureFixture[str], verb: str, lang: str) -> None:
    assert main([verb, "--help", "--lang", lang]) == 0
    out = capsys.readouterr().out
    messages = Messages(lang)
    assert f"qushui {verb}" in out
    assert messages.text("cli.options") in out
    assert all(page.width_of(line) <= 80 for line in out.splitlines())
    for line in out.splitlines():
        assert not any(word.startswith(("cli.", f"{verb}.")) for word in line.split()), (
            f"a key without a sentence: {line}"
        )


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example(verb: str) -> None:
    for lang in LANGUAGES:
        examples = Messages(lang).texts(f"cli.example.{verb}")
        assert examples
        assert all(example.startswith(f"qushui {verb}") for example in examples)


def test_a_mistyped_verb_is_corrected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["statsu", "--lang", "en"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "Did you mean qushui status?" in output.err


@pytest.mark.parametrize("words", [["--lang", "en", "frame"], ["frame", "--lang", "en"], ["frame", "--lang=en"]])
def test_the_language_may_stand_anywhere(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 2
    assert "Missing: " in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--lang", "de", "frame"], ["frame", "--lang"]])
def test_an_unknown_language_is_wrong_input(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 2
    assert "zh|en" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["frame"], "缺少参数：PROTOCOL HEX"),
        (["report", "day"], "ACTION 不能是 day；可用 quarter monthly daily acceptance export"),
        (["frame", "modbus-rtu", "01", "--nonsense"], "--nonsense"),
        (["frame", "modbus-rtu", "01", "--direction"], "--direction 后面要有值"),
        (["frame", "modbus-rtu", "01", "--direction", "up"], "不能是 up"),
        (["frame", "modbus-rtu", "01", "--json=yes"], "不带值"),
        (["coefficient", "fit", "x.csv", "--u-ref", "0"], "大于 0 的百分数"),
        (["coefficient", "fit", "x.csv", "--heads", "45-32"], "如 32-45"),
        (["coefficient", "activate", "x.yaml", "--from", "2026-13-01", "--who", "a"], "如 2026-05-14"),
        (["coefficient", "activate", "x.yaml", "--from", "2026-01-01", "--who", " "], "姓名"),
        (["enter", "replacement", "m", "--multiplier", "3", "--ct", "5/5"], "--ct 和 --multiplier 只能写一个"),
        (["enter", "decision", "m", "--quantity", "q", "--register", "1", "--reason", "r", "--who", "a"],
         "--wraps --restart 要写其中一个"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_said_in_chinese(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main([*words, "--lang", "zh"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert sentence in output.err


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"qushui {version('qushui')}\n"


def verb_that(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    module = types.ModuleType("agent.cli.frame")
    module.__dict__.update(HELP_KEY="cli.verb.frame", add_arguments=lambda parser: None, run=run)
    monkeypatch.setitem(sys.modules, "agent.cli.frame", module)


def test_ctrl_c_ends_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(arguments: object, out: object) -> int:
        raise KeyboardInterrupt

    verb_that(monkeypatch, interrupted)
    assert main(["frame"]) == 128 + signal.SIGINT
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "")


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "agent.cli", "--help"], stdout=writer, stderr=subprocess.PIPE, timeout=30, check=False
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_terminal_without_chinese_shows_question_marks_and_goes_on() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "agent.cli", "--help", "--lang", "zh"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode == 0
    assert b"?" in ended.stdout


def test_only_the_verb_that_is_asked_for_is_loaded() -> None:
    code = (
        "import sys; from agent.cli.main import main; main(['frame', 'modbus-rtu', '010300000002C40B', '--json']);"
        "assert not {'pydantic', 'serial', 'paho', 'sqlite3', 'pymodbus', 'structlog'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_daemon_carries_no_sentences_and_no_tables() -> None:
    code = (
        "import sys; from agent.cli import run; from agent.cli.main import parser_of;"
        "from agent.messages import Messages;"
        "parser_of('run', run, Messages('zh')).parse_args(['-c', 'x']);"
        "assert not {'yaml', 'wcwidth', 'tabulate', 'pydantic', 'serial'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_data_and_advice_go_their_own_ways() -> None:
    ended = qushui("frame", "modbus-rtu", "01 03 00 00 00 02 C4 0B")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "read holding registers" in ended.stdout
    ended = qushui("frame", "modbus-rtu", "xx")
    assert (ended.returncode, ended.stdout) == (2, "")
