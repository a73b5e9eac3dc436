"""Every sentence a person reads, by key, in Chinese and English.

Strategy: `locale/LANG.yaml` and the fragments `locale/parts/*.LANG.yaml` are nested mappings; a key is the path with
dots. A file is read when the first key that an earlier file does not have is asked for, so that a daemon, which only
logs, reads none, and a verb that finds no fault reads no advice. A sentence that is missing shows its key and
arguments: explaining a failure must never fail itself (a test keeps both languages complete).
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from agent import page

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from agent.form.problems import Problem

LANGUAGES = ("zh", "en")
_DEFAULT = "zh"
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # POSIX 8.2: in this order
_BARE_CONSOLE = "linux"  # TERM of a Linux console, whose fonts have no Chinese

_USUAL_FILE = "/etc/qushui/agent.yaml"  # loading.DEFAULT_CONFIG, which stands above the sentences
_WITHOUT_OPTION = frozenset({"check", "plan", "frame", "help"})  # verbs that take no `-c FILE`

_DETAIL = "detail"  # the argument that holds what the system said
_ERRNO = re.compile(r"\[Errno (?P<number>\d+)\]")
_FOLDED = re.compile(r"(?<=[，。；：、？！）]) ")

Sentence = str | tuple[str, ...]


def language_of(environ: Mapping[str, str]) -> str:
    """The language for a person with this environment: `zh` or `en`."""
    if environ.get("TERM") == _BARE_CONSOLE:
        return "en"
    spoken = next((environ[name] for name in _VARIABLES if environ.get(name)), "")[:2].lower()
    return spoken if spoken in LANGUAGES else _DEFAULT


class Messages:
    """The sentences of one language, and the columns of the page they are read on.

    `config` is the configuration that was typed with `-c`, for commands that are to be typed next; "" for the default.
    """

    def __init__(self, lang: str, *, width: int = page.WIDTH) -> None:
        if lang not in LANGUAGES:
            raise ValueError(f"no such language: {lang}")
        self.lang = lang
        self.width = width
        self.config = ""
        self._sentences: dict[str, Sentence] = {}
        self._unread: Iterator[Traversable] = _files(lang)

    def use_config(self, typed: Path | None) -> None:
        """Takes note of the `-c FILE` of this command line."""
        self.config = "" if typed is None or str(typed) == _USUAL_FILE else str(typed)

    def text(self, key: str, /, **arguments: object) -> str:
        """The sentence `key`, its placeholders filled."""
        sentence = self._find(key)
        if sentence is None:
            return " ".join([key, *(f"{name}={value}" for name, value in arguments.items())])
        if _DETAIL in arguments:
            arguments = {**arguments, _DETAIL: self.system(arguments[_DETAIL])}
        return _filled(sentence if isinstance(sentence, str) else "\n".join(sentence), arguments)

    def texts(self, key: str, /, **arguments: object) -> tuple[str, ...]:
        """The list of sentences `key`, filled; empty when there is none."""
        sentence = self._find(key)
        if sentence is None:
            return ()
        return tuple(_filled(each, arguments) for each in ((sentence,) if isinstance(sentence, str) else sentence))

    def command(self, command: str) -> str:
        """A command to type, for the same configuration: with `-c FILE` where one was typed and the verb takes it."""
        words = command.split()
        is_ours = words[0] == "qushui" and words[1] not in _WITHOUT_OPTION
        return f"{command} -c {shlex.quote(self.config)}" if self.config and is_ours else command

    def has(self, key: str) -> bool:
        """Whether there is such a sentence."""
        return self._find(key) is not None

    def keys(self) -> tuple[str, ...]:
        """All keys of this language, in the order of the files."""
        self._find("")
        return tuple(self._sentences)

    def quantity(self, name: str) -> str:
        """The title of a quantity; its name where it is none of ours."""
        from agent.quantities import QUANTITIES  # noqa: PLC0415 - before a daemon judges its file it names nothing

        known = QUANTITIES.get(name)
        return name if known is None else known.zh if self.lang == "zh" else known.en

    def flag(self, name: str) -> str:
        """The title of a status flag; its name where it is none of ours."""
        from agent.quantities import FLAGS  # noqa: PLC0415 - as above

        titles = FLAGS.get(name)
        return name if titles is None else titles[self.lang != "zh"]

    def reason(self, word: str) -> str:
        """Why a reading is not GOOD, in a few words."""
        return self.text(f"reason.{word}") if self.has(f"reason.{word}") else word

    def system(self, said: object) -> str:
        """What the operating system said, in words of the language; anything else as it is."""
        text = str(said)
        if found := _ERRNO.search(text):
            code: int | None = int(found["number"])
        else:
            code = next((each for each in errno.errorcode if os.strerror(each) == text), None)
        key = f"system.{errno.errorcode.get(code or 0, '')}"
        return self.text(key) if self.has(key) else text

    def _find(self, key: str) -> Sentence | None:
        while key not in self._sentences:
            following = next(self._unread, None)
            if following is None:
                return None
            self._sentences.update(_read(following))
        return self._sentences[key]


def fault_text(messages: Messages, code: str, place: str, evidence: Mapping[str, object]) -> str:
    """A fault as a person needs it: code and place, what happened, the evidence, likely causes in order, what to type.

    `place` is as in `Fault.place`; sentences may use its `{name}` and everything in `evidence`. Lines are at most
    `messages.width` columns wherever a break is possible.
    """
    width = messages.width
    arguments = {
        "name": place.partition("/")[2] or place,
        "place": place,
        "line": messages.text("fault_page.line"),
        **evidence,
        "config": _config_of(messages, place, evidence),
    }
    sections = {
        "evidence": evidence_lines(messages, evidence),
        "likely": _numbered(messages.texts(_likely(messages, code, evidence), **arguments)),
        "try": [messages.command(each) for each in messages.texts(f"fault.{code}.try", **arguments)],
    }
    labels = {section: messages.text(f"fault.{section}") for section in sections}
    column = 4 + max(page.width_of(label) for label in labels.values())
    lines = [f"{code}  {place_text(messages, place)}"]
    for part in ("title", "what"):
        lines += [f"  {line}" for line in page.wrapped(messages.text(f"fault.{code}.{part}", **arguments), width - 2)]
    for section, texts in sections.items():
        for at, text in enumerate(texts):
            label = "" if at else labels[section]
            lines += page.labelled(label, text, indent=2, column=column, width=width)
    return "\n".join(lines)


def _config_of(messages: Messages, place: str, evidence: Mapping[str, object]) -> str:
    """The file to type: the one that the running daemon refused, else the one that was typed with `-c`."""
    file = evidence.get("file") if place == "config" else None
    return shlex.quote(str(file or messages.config or _USUAL_FILE))


def _likely(messages: Messages, code: str, evidence: Mapping[str, object]) -> str:
    """The key of the causes, likeliest first: others where neighbours on the same line answer."""
    key = f"fault.{code}.likely"
    is_alone = str(evidence.get("answering", 0)) != "0" and messages.has(f"{key}_answering")
    return f"{key}_answering" if is_alone else key


def _numbered(causes: Sequence[str]) -> list[str]:
    return [f"{at}. {cause}" for at, cause in enumerate(causes, 1)]


def fault_page(messages: Messages) -> str:
    """The page of all faults, in Markdown."""
    from agent.faults import FaultCode  # noqa: PLC0415 - only for this page

    lines = [f"# {messages.text('fault_page.title')}", "", messages.text("fault_page.intro"), ""]
    for code in FaultCode:
        key, name = f"fault.{code}", messages.text("fault_page.name")
        causes = _numbered(messages.texts(f"{key}.likely"))
        alone = _numbered(messages.texts(f"{key}.likely_answering"))
        line = messages.text("fault_page.line")
        arguments = {"name": name, "line": line, "config": _USUAL_FILE}
        commands = [f"    {command}" for command in messages.texts(f"{key}.try", **arguments)]
        lines += [f"## {code}", "", f"**{messages.text(f'{key}.title')}**", "", messages.text(f"{key}.what"), ""]
        lines += [f"*{messages.text('fault.likely')}*", "", *causes, ""]
        if alone:
            lines += [f"*{messages.text('fault_page.answering')}*", "", *alone, ""]
        lines += [f"*{messages.text('fault.try')}*", "", *commands, ""]
    return "\n".join(lines).rstrip() + "\n"


def place_text(messages: Messages, place: str) -> str:
    """A fault's place in words: `meter/main-flow` becomes `meter main-flow`."""
    kind, _, name = place.partition("/")
    word = messages.text(f"place.{kind}") if messages.has(f"place.{kind}") else kind
    return f"{word} {name}".rstrip()


def evidence_lines(messages: Messages, evidence: Mapping[str, object]) -> list[str]:
    """What proves a fault, one line each: its title (the bare key where there is none), and hex in pairs."""
    lines: list[str] = []
    for key, value in evidence.items():
        if key == "problems":
            lines += problem_lines(messages, _problems(str(value)))
            continue
        title = messages.text(f"evidence.{key}") if messages.has(f"evidence.{key}") else key
        text = _evidence_value(messages, key, str(value))
        if text or key.endswith("_hex"):  # that nothing was received is evidence, an empty remark is none
            lines.append(f"{title} {text or messages.text('evidence.nothing')}")
    return lines


def _problems(told: str) -> list[Problem]:
    """The mistakes of a file, as a fault's evidence holds them."""
    from agent.form.problems import Problem  # noqa: PLC0415 - the daemon only logs

    return [Problem(**each) for each in json.loads(told)]


def _evidence_value(messages: Messages, key: str, value: str) -> str:
    if key.endswith("_hex"):
        return page.spaced_hex(value)
    if key == "quantity":
        return messages.quantity(value)
    if key == _DETAIL:
        return messages.system(value)
    return cause_text(messages, value) if key in {"trouble", "reason"} else value


def cause_text(messages: Messages, cause: str) -> str:
    """A cause as parts of the agent write it, a word in capitals and what the system said, with the word explained."""
    word, _, rest = cause.partition(" ")
    for family in ("trouble", "reason"):
        if messages.has(f"{family}.{word}"):
            explained = messages.text(f"{family}.{word}")
            return f"{explained} ({messages.system(rest)})" if rest else explained
    return messages.system(cause)


def refusal_text(messages: Messages, code: str, arguments: Mapping[str, object]) -> str:
    """Why the running daemon did not carry out a command."""
    return messages.text(f"control.wrong.{code}", **arguments)


def problem_lines(messages: Messages, problems: Iterable[Problem]) -> Iterator[str]:
    """Each mistake of a file as `FILE:LINE:COL: path: what it is, what was expected`."""
    for problem in problems:
        near = " " + messages.text("form.near", **problem.arguments) if "near" in problem.arguments else ""
        text = messages.text(f"form.{problem.code}", **problem.arguments) + near
        yield ": ".join(filter(None, [problem.place, problem.path, text]))


def _files(lang: str) -> Iterator[Traversable]:
    from importlib import resources  # noqa: PLC0415 - the daemon only logs

    locale = resources.files("agent") / "locale"
    yield locale / f"{lang}.yaml"
    parts = locale / "parts"
    if parts.is_dir():
        yield from sorted((each for each in parts.iterdir() if each.name.endswith(f".{lang}.yaml")), key=str)


def _read(file: Traversable) -> dict[str, Sentence]:
    import yaml  # noqa: PLC0415 - the daemon only logs

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # no libyaml on 32-bit boards
    return dict(_flat(yaml.load(file.read_text(encoding="utf-8"), Loader=loader), ""))  # noqa: S506 - both are safe


def _flat(node: object, path: str) -> Iterator[tuple[str, Sentence]]:
    match node:
        case Mapping():
            for key, value in node.items():
                yield from _flat(value, f"{path}.{key}" if path else str(key))
        case str():
            yield path, _unfolded(node)
        case Sequence():
            yield path, tuple(_unfolded(str(each)) for each in node)
        case None:
            return
        case _:
            raise TypeError(f"locale key {path}: quote the value {node!r}")


def _unfolded(text: str) -> str:
    """Without the blank that YAML puts where a line of a Chinese sentence was broken behind a full-width mark."""
    return _FOLDED.sub("", text.strip())


class _Shown(dict[str, object]):
    """Arguments of a sentence; one that is missing shows its name."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def _filled(sentence: str, arguments: Mapping[str, object]) -> str:
    return sentence.format_map(_Shown(arguments))
