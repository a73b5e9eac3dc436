"""`qushui VERB …`: finds the verb's module, reads its arguments, runs it.

A verb is a module `agent.cli.VERB`, imported only when it is asked for, with

    HELP_KEY: str                              locale key of one sentence: what it does
    add_arguments(parser) -> None              `help=` is a locale key, or a name that needs no translation
    run(arguments, out: Messages) -> int       0 done, 1 the field says no, 2 the input is wrong

Data go to stdout, advice to stderr.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NoReturn

from agent import page
from agent.messages import LANGUAGES, Messages, language_of

VERBS = (
    "run",
    "check",
    "plan",
    "scan",
    "probe",
    "read",
    "profiles",
    "frame",
    "status",
    "outbox",
    "archive",
    "coefficient",
    "enter",
    "report",
    "explain",
    "verify",
    "clock",
    "selftest",
    "help",
)
"""The verbs in the order in which a site is brought up."""

_WRONG_INPUT = 2
_NO_BREAK = "\N{NO-BREAK SPACE}"
_INTERRUPTED = 128 + signal.SIGINT

_NAMES = ("name", "names", "other", "allowed")  # what a complaint calls options, arguments and choices
_ARGPARSE_WORDS = (  # argparse's own complaints and our sentence for each
    (re.compile(r"the following arguments are required: (?P<names>.+)"), "required"),
    (re.compile(r"unrecognized arguments: (?P<names>.+)"), "unrecognized"),
    (re.compile(r"argument (?P<name>.+?): expected (?:one|at least one) argument.*"), "value_needed"),
    (
        re.compile(r"argument (?P<name>.+?): invalid choice: '?(?P<value>.*?)'? \(choose from (?P<allowed>.+)\)"),
        "choice",
    ),
    (re.compile(r"argument (?P<name>.+?): invalid (?P<kind>\S+) value: '?(?P<value>.*?)'?"), "value"),
    (re.compile(r"argument (?P<name>.+?): ignored explicit argument '?(?P<value>.*?)'?"), "no_value"),
    (re.compile(r"argument (?P<name>.+?): not allowed with argument (?P<other>.+)"), "either"),
    (re.compile(r"one of the arguments (?P<names>.+) is required"), "one_of"),
    (re.compile(r"ambiguous option: (?P<name>\S+) could match (?P<allowed>.+)"), "ambiguous"),
)


class VerbParser(argparse.ArgumentParser):
    """argparse with its help and complaints in the person's language, laid out by shown width."""

    def __init__(self, *, messages: Messages, **arguments: Any) -> None:
        super().__init__(add_help=False, allow_abbrev=False, **arguments)
        self._messages = messages
        self.add_argument("-h", "--help", action="help", help="cli.help_option")

    def add_subparsers(self, **arguments: Any) -> Any:
        """Subcommands that speak the same language."""
        arguments.setdefault("parser_class", partial(VerbParser, messages=self._messages))
        return super().add_subparsers(**arguments)

    def format_usage(self) -> str:
        """One or more lines: how to type it."""
        words = [self.prog, *(_usage(action) for action in self._actions if action.dest != "help")]
        text = " ".join(word.replace(" ", _NO_BREAK) for word in words)
        label = self._messages.text("cli.usage")
        lines = page.labelled(label, text, indent=0, column=page.width_of(label) + 1, width=self._messages.width)
        return "\n".join(lines).replace(_NO_BREAK, " ")

    def format_help(self) -> str:
        """The whole page of the verb."""
        out = self._messages
        lines = [self.format_usage(), ""]
        if self.description:
            lines += [*page.wrapped(out.text(self.description), out.width), ""]
        for heading, actions in (
            ("cli.arguments", [action for action in self._actions if not action.option_strings]),
            ("cli.options", [action for action in self._actions if action.option_strings]),
        ):
            if actions:
                lines += [out.text(heading), *self._described(actions), ""]
        if examples := out.texts(f"cli.example.{self.prog.removeprefix('qushui ')}"):
            lines += [out.text("cli.examples"), *(f"  {example}" for example in examples)]
        return "\n".join(lines).rstrip() + "\n"

    def error(self, message: str) -> NoReturn:
        """Says what is wrong with what was typed and ends with status 2."""
        print(self.format_usage(), file=sys.stderr)
        print("\n".join(page.wrapped(self._translated(message), self._messages.width)), file=sys.stderr)
        sys.exit(_WRONG_INPUT)

    def _described(self, actions: Sequence[argparse.Action]) -> Iterator[str]:
        for action in actions:
            for name, text in ((_name(action), self._help(action)), *self._subcommands(action)):
                yield from page.labelled(name, text, indent=2, column=20, width=self._messages.width)

    def _subcommands(self, action: argparse.Action) -> list[tuple[str, str]]:
        choices = getattr(action, "_choices_actions", ())  # argparse keeps their help nowhere else
        return [(f"  {choice.dest}", self._help(choice)) for choice in choices]

    def _help(self, action: argparse.Action) -> str:
        text = action.help or ""
        return self._messages.text(text) if self._messages.has(text) else text

    def _typed(self, told: str) -> str:
        """A name or a list as argparse tells it, as the usage line writes it: no quotes, arguments by their metavar."""
        shown = {action.dest: _metavar(action) for action in self._actions if not action.option_strings}
        return " ".join(shown.get(word, word) for word in told.replace("'", "").split(", "))

    def _translated(self, message: str) -> str:
        for pattern, key in _ARGPARSE_WORDS:
            if found := pattern.fullmatch(message):
                words = found.groupdict()
                words |= {name: self._typed(words[name]) for name in _NAMES if name in words and key != "unrecognized"}
                said = self._messages.text(f"cli.wrong.{key}", **words)
                expected = f"cli.expected.{found.groupdict().get('kind', '')}"
                return said + (self._messages.text(expected) if self._messages.has(expected) else "")
        return message


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and gives its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")  # a terminal without Chinese shows "?" and goes on
    lang = _take_lang(words)
    width = min(page.WIDTH, shutil.get_terminal_size((page.WIDTH, 24)).columns)
    out = Messages(lang if lang in LANGUAGES else language_of(os.environ), width=width)
    if lang is not None and lang not in LANGUAGES:
        print(out.text("cli.wrong.lang", value=lang, allowed="|".join(LANGUAGES)), file=sys.stderr)
        return _WRONG_INPUT
    return _quietly(partial(_dispatch, words, out))


def _take_lang(words: list[str]) -> str | None:
    """Takes `--lang X` out of the words, wherever it stands before a `--`; None when it is not there."""
    end = words.index("--") if "--" in words else len(words)
    for at, word in enumerate(words[:end]):
        if word.startswith("--lang="):
            return words.pop(at).removeprefix("--lang=")
        if word == "--lang":
            words.pop(at)
            return words.pop(at) if at < len(words) else ""
    return None


def _quietly(run: Callable[[], int]) -> int:
    """The status of `run`; Ctrl-C and a reader that went away need no traceback."""
    try:
        status = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return 0
    except SystemExit as leaving:  # argparse's way out
        return leaving.code if isinstance(leaving.code, int) else 0
    return status


def _dispatch(words: list[str], out: Messages) -> int:
    if not words or words[0] in {"-h", "--help"}:
        print(_overview(out))
        return 0 if words else _WRONG_INPUT
    if words[0] == "--version":
        from importlib.metadata import version  # noqa: PLC0415 - costs more than all of this module

        print(f"qushui {version('qushui')}")
        return 0
    verb = words[0]
    if verb not in VERBS:
        _say_no_verb(verb, out)
        return _WRONG_INPUT
    module = importlib.import_module(f"agent.cli.{verb}")
    arguments = parser_of(verb, module, out).parse_args(words[1:])
    out.use_config(getattr(arguments, "config", None))
    status: int = module.run(arguments, out)
    return status


def _say_no_verb(verb: str, out: Messages) -> None:
    import difflib  # noqa: PLC0415 - only for the mistyped

    print(out.text("cli.wrong.verb", value=verb), file=sys.stderr)
    for near in difflib.get_close_matches(verb, VERBS, n=1):
        print(out.text("cli.did_you_mean", value=f"qushui {near}"), file=sys.stderr)
    print(out.text("cli.see_overview"), file=sys.stderr)


def parser_of(verb: str, module: Any, out: Messages) -> VerbParser:
    """The parser of a verb's module; its sentences are read when somebody asks for help."""
    parser = VerbParser(messages=out, prog=f"qushui {verb}", description=module.HELP_KEY)
    module.add_arguments(parser)
    parser.add_argument("--lang", choices=LANGUAGES, help="cli.lang_option")
    return parser


def _overview(out: Messages) -> str:
    lines = [out.text("cli.usage") + " qushui VERB …", "", *page.wrapped(out.text("cli.about"), out.width), ""]
    for verb in VERBS:
        lines += page.labelled(verb, out.text(f"cli.verb.{verb}"), indent=2, column=14, width=out.width)
    return "\n".join([*lines, "", *page.wrapped(out.text("cli.overview_end"), out.width)])


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return _metavar(action)
    return " ".join(filter(None, [", ".join(action.option_strings), "" if action.nargs == 0 else _metavar(action)]))


def _metavar(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None and action.option_strings:
        return "|".join(map(str, action.choices))
    return action.dest.replace("_", "-").upper()


def _usage(action: argparse.Action) -> str:
    if action.option_strings:
        name = f"{action.option_strings[-1]} {_metavar(action)}" if action.nargs != 0 else action.option_strings[-1]
        return name if action.required else f"[{name}]"
    name = _metavar(action)
    return {"*": f"[{name}…]", "+": f"{name}…", "?": f"[{name}]"}.get(str(action.nargs), name)
