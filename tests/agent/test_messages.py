"""What people read: complete in both languages, laid out by shown width, and of use in a pump house."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import string
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agent import page
from agent.cli.main import VERBS, parser_of
from agent.derive.flags import Flag
from agent.faults import FaultCode
from agent.form.problems import Problem
from agent.loading import DEFAULT_CONFIG
from agent.messages import (
    LANGUAGES,
    Messages,
    _files,
    _read,
    cause_text,
    evidence_lines,
    fault_text,
    language_of,
    problem_lines,
)
from agent.model import Reason
from drivers.contract import NoValue


@pytest.fixture(params=LANGUAGES)
def messages(request: pytest.FixtureRequest) -> Messages:
    return Messages(request.param)


def placeholders(sentences: tuple[str, ...]) -> set[str]:
    return {name for each in sentences for _, name, _, _ in string.Formatter().parse(each) if name}


def raw(messages: Messages, key: str) -> tuple[str, ...]:
    sentence = messages._sentences[key]
    return (sentence,) if isinstance(sentence, str) else sentence


@pytest.mark.parametrize(
    ("environ", "lang"),
    [
        ({}, "zh"),
        ({"LANG": "C.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "zh"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LC_ALL": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8", "LANG": "en"}, "zh"),
        ({"LC_ALL": "", "LANG": "en_US"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "TERM": "linux"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "TERM": "xterm-256color"}, "zh"),
    ],
)
def test_the_language_follows_the_environment(environ: dict[str, str], lang: str) -> None:
    assert language_of(environ) == lang


def test_both_languages_say_the_same_things() -> None:
    zh, en = Messages("zh"), Messages("en")
    assert set(zh.keys()) == set(en.keys())
    different = {key for key in zh.keys() if placeholders(raw(zh, key)) != placeholders(raw(en, key))}  # noqa: SIM118
    assert different == set()


def test_no_sentence_is_defined_twice() -> None:
    for lang in LANGUAGES:
        seen: dict[str, str] = {}
        for file in _files(lang):
            for key in _read(file):
                assert key not in seen, f"{key} is in {seen[key]} and in {file.name}"
                seen[key] = file.name


def test_no_file_says_a_key_twice() -> None:
    def keys(node: yaml.Node, path: str) -> list[str]:
        if not isinstance(node, yaml.MappingNode):
            return [path]
        return [each for key, value in node.value for each in keys(value, f"{path}.{key.value}")]

    for lang in LANGUAGES:
        for file in _files(lang):
            found = keys(yaml.compose(file.read_text(encoding="utf-8")), file.name)
            assert len(found) == len(set(found))


def test_every_fault_says_what_happened_why_and_what_to_type(messages: Messages) -> None:
    for code in FaultCode:
        for part in ("title", "what", "likely", "try"):
            assert messages.has(f"fault.{code}.{part}"), f"{code} has no {part}"


def test_every_command_of_an_advice_exists(messages: Messages) -> None:
    for code in FaultCode:
        for command in messages.texts(f"fault.{code}.try"):
            words = command.split()
            assert words[0] in {"qushui", "ls", "df", "dmesg", "journalctl", "systemctl"}, command
            assert words[0] != "qushui" or words[1] in VERBS, command


def test_advice_is_for_the_configuration_that_was_typed(messages: Messages) -> None:
    typed = Path("/srv/pump house/well.yaml")
    messages.use_config(typed)
    for code in FaultCode:
        assert str(DEFAULT_CONFIG) not in fault_text(messages, code, "meter/main-flow", {"line": "rs485-1"})
        for command in messages.texts(f"fault.{code}.try", name="7", line="rs485-1", config=shlex.quote(str(typed))):
            program, verb, *words = shlex.split(messages.command(command))
            if program != "qushui" or verb in {"frame", "help"}:
                continue
            module = importlib.import_module(f"agent.cli.{verb}")
            understood = parser_of(verb, module, messages).parse_args(words)
            assert typed in {understood.__dict__.get("config"), understood.__dict__.get("file")}, command


def test_advice_for_the_usual_configuration_has_no_option(messages: Messages) -> None:
    messages.use_config(DEFAULT_CONFIG)
    assert messages.command("qushui read pump") == "qushui read pump"
    assert f"qushui check {DEFAULT_CONFIG}" in fault_text(messages, FaultCode.CONFIG_REFUSED, "config", {})


def test_a_refused_file_is_named_as_the_daemon_knows_it_with_what_check_says_of_it(messages: Messages) -> None:
    wrong = Problem(file="/srv/a.yaml", line=4, column=3, path="lines.bus", code="unknown-key",
                    arguments={"key": "bud", "allowed": "baud, port", "near": "baud"})  # fmt: skip
    evidence = {"file": "/srv/a.yaml", "mistakes": "1", "problems": json.dumps([wrong.told()])}
    messages.use_config(Path("b.yaml"))
    messages.width = 400
    said = fault_text(messages, FaultCode.CONFIG_REFUSED, "config", evidence)
    assert "qushui check /srv/a.yaml" in said
    assert next(problem_lines(messages, [wrong])) in said
    assert wrong.code not in said


def test_advice_uses_only_the_name_of_the_place(messages: Messages) -> None:
    for code in FaultCode:
        used = {
            name
            for part in ("title", "what", "likely", "likely_answering", "try")
            if messages.has(f"fault.{code}.{part}")
            for name in placeholders(raw_fault(messages, code, part))
        }
        assert used <= {"name", "place", "line", "config"}, f"{code} cannot rely on its evidence: {used}"


def raw_fault(messages: Messages, code: str, part: str) -> tuple[str, ...]:
    messages.keys()
    return raw(messages, f"fault.{code}.{part}")


def test_every_reason_has_words(messages: Messages) -> None:
    for word in (*Reason, *NoValue, *Flag):
        assert messages.reason(word) != word


def test_chinese_sentences_are_chinese_and_english_ones_are_not() -> None:
    chinese = re.compile("[\u4e00-\u9fff]")
    zh, en = Messages("zh"), Messages("en")
    assert [key for key in en.keys() if chinese.search("".join(raw(en, key)))] == []  # noqa: SIM118
    bare = [key for key in zh.keys() if not chinese.search("".join(raw(zh, key)))]  # noqa: SIM118
    commands = [key for key in bare if key.startswith("cli.example.") or key.endswith(".try")]
    values = [key for key in bare if not re.search("[a-z]{3}", re.sub(r"\{\w+\}|qushui", "", "".join(raw(zh, key))))]
    assert set(bare) <= {*commands, *values}


def test_a_fault_reads_as_in_the_book(messages: Messages) -> None:
    text = fault_text(
        messages, FaultCode.METER_NO_REPLY, "meter/main-flow", {"sent_hex": "010300000002c40b", "received_hex": ""}
    )
    lines = text.splitlines()
    assert lines[0].startswith("METER-NO-REPLY")
    assert lines[0].endswith("main-flow")
    assert "01 03 00 00 00 02 C4 0B" in text
    assert messages.text("evidence.nothing") in text
    assert "qushui read main-flow" in text
    order = [text.index(messages.text(f"fault.{part}") + " ") for part in ("evidence", "likely", "try")]
    assert order == sorted(order)


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_advice_fits_a_phone(lang: str, width: int) -> None:
    for code in FaultCode:
        text = fault_text(Messages(lang, width=width), code, "meter/main-flow", {"detail": "no reply in 1 s"})
        too_wide = [line for line in text.splitlines() if page.width_of(line) > width and " " in line.strip()]
        assert [line for line in too_wide if len(line.split()) > 3] == []


def test_where_neighbours_answer_the_line_itself_is_not_blamed_first(messages: Messages) -> None:
    evidence = {"line": "rs485-1", "answering": 2, "others": 3, "waited_s": "0.5"}
    alone = fault_text(messages, FaultCode.METER_NO_REPLY, "meter/pump", {**evidence, "answering": 0})
    beside = fault_text(messages, FaultCode.METER_NO_REPLY, "meter/pump", evidence)
    assert re.search(r"1\. A", alone)
    assert not re.search(r"1\. A", beside)
    for text in (alone, beside):
        assert "qushui scan rs485-1" in text
        assert "waited_s" not in text
        assert "no reply in" not in text
    assert "qushui scan" in fault_text(messages, FaultCode.METER_NO_REPLY, "meter/pump", {})


@pytest.mark.parametrize(
    "said",
    [FileNotFoundError(2, "No such file or directory", "x.jpg"), "No such file or directory",
     "[Errno 2] could not open port /dev/x: [Errno 2] No such file or directory: '/dev/x'"],
    ids=["error", "words", "pyserial"],
)  # fmt: skip
def test_what_the_system_said_is_said_in_the_language(said: object) -> None:
    zh = Messages("zh")
    assert zh.text("photo.wrong.FILE", path="x.jpg", detail=said) == "读不了 x.jpg：没有这个文件、目录或设备"
    assert evidence_lines(zh, {"detail": str(said)}) == ["详情 没有这个文件、目录或设备"]
    assert zh.text("photo.wrong.FILE", path="x.jpg", detail="quota 7") == "读不了 x.jpg：quota 7"


def test_a_cause_with_what_the_system_said_is_all_in_the_language() -> None:
    zh = Messages("zh")
    assert cause_text(zh, "127.0.0.1:9: [Errno 111] Connection refused") == "连接被拒绝：主机在，该端口没有服务"
    assert cause_text(zh, "CONNECTION_REFUSED Connection refused").endswith("(连接被拒绝：主机在，该端口没有服务)")
    assert cause_text(zh, "what nobody knows") == "what nobody knows"


def test_chinese_that_was_folded_behind_a_mark_has_no_blank_there() -> None:
    texts = map(Messages("zh").text, Messages("zh").keys())
    assert not [text for text in texts if re.search("[，。；：、] ", text)]


def test_evidence_without_a_title_shows_its_key(messages: Messages) -> None:
    assert evidence_lines(messages, {"strange_thing": "7"}) == ["strange_thing 7"]


def test_an_unknown_code_is_shown_rather_than_hidden(messages: Messages) -> None:
    assert "METER-ON-FIRE" in fault_text(messages, "METER-ON-FIRE", "meter/x", {"heat": "much"})


def test_a_missing_sentence_shows_its_key_and_arguments(messages: Messages) -> None:
    assert messages.text("no.such.key", value=3) == "no.such.key value=3"


def test_quantities_flags_and_strangers_have_names(messages: Messages) -> None:
    assert messages.quantity("volume_forward") in {"正向累计水量", "forward volume"}
    assert messages.flag("empty_pipe") in {"空管", "pipe empty"}
    assert messages.quantity("phlogiston") == "phlogiston"
    assert messages.flag("haunted") == "haunted"


def test_a_daemon_that_only_logs_reads_no_sentence() -> None:
    code = (
        "import sys; from agent.messages import Messages; Messages('zh');"
        "assert not {'yaml', 'tabulate'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_chinese_counts_two_columns() -> None:
    assert page.width_of("总线 a") == 6
    assert page.padded("总线", 6) == "总线  "


def test_a_line_of_chinese_breaks_anywhere_but_before_a_full_stop() -> None:
    lines = page.wrapped("表计没有应答。请检查接线（红为甲）再试", 12)
    assert all(page.width_of(line) <= 14 for line in lines)
    assert not any(line[0] in "。）" or line[-1] == "（" for line in lines)
    assert "".join(lines) == "表计没有应答。请检查接线（红为甲）再试"


def test_english_words_stay_whole() -> None:
    assert page.wrapped("the meter does not answer", 10) == ["the meter", "does not", "answer"]


def test_a_word_wider_than_the_page_is_not_cut() -> None:
    assert page.wrapped("a /dev/serial/by-id/usb-FTDI-if00 b", 10) == ["a", "/dev/serial/by-id/usb-FTDI-if00", "b"]


def test_a_label_never_touches_what_stands_beside_it() -> None:
    assert page.labelled("1234", "x", indent=2, column=7, width=20) == ["  1234 x"]
    assert page.labelled("流量", "x", indent=2, column=6, width=20) == ["  流量", "      x"]


def test_a_table_too_wide_for_a_phone_becomes_blocks() -> None:
    rows = [["main-flow", "rs485-1", "", "1234.56 m3"], ["side-flow", "rs485-1", "3", "-"]]
    headers = ["表计", "总线", "跳过", "数值"]
    assert page.table(rows, headers, width=80).count("\n") == 2
    assert page.table(rows, headers, width=30).splitlines() == [
        "main-flow", "  总线  rs485-1", "  数值  1234.56 m3", "side-flow", "  总线  rs485-1", "  跳过  3", "  数值  -",
    ]  # fmt: skip


def test_table_columns_line_up_under_chinese_headings() -> None:
    lines = page.table([["rs485-1", "12"], ["总线", "3"]], ["名称", "占用"], right=[1]).splitlines()
    assert {page.width_of(line) for line in lines} == {page.width_of(lines[0])}
