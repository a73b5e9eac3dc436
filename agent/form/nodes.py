"""A YAML file as nodes that know their line and column, strict where YAML guesses.

Strategy: we build from the parser's events, not from its ready-made nodes: an alias then has its own place, and
nesting and aliases are bounded before anything grows. Scalars are text, whole numbers, exact decimals, `true`,
`false` or nothing; what other programs would read differently (`010`, `12:30`, `no`, a bare date) becomes `Bare`,
which no field accepts, so that its author is told to write quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

import yaml

from agent.form.problems import FormErrors, Problem, near
from agent.form.wide import wide_problem

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SIZE_LIMIT = 1_000_000  # bytes; a station of 250 meters is 50 kB
DEPTH_LIMIT = 12  # a profile test nests 6 deep
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # no libyaml on armv7l

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_HEXADECIMAL = re.compile(r"0x[0-9A-Fa-f]{1,8}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?")
_DIGITS = re.compile(r"[-+]?[0-9][0-9_]*|0o[0-7]+")  # leading zeros and underscores: octal here, decimal there
_CONTROL = re.compile(  # YAML 1.2, 5.1: what is not c-printable, named itself: "all but" takes 5 ms to compile
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]"
)
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_GUESSED = frozenset({"=", "<<"})


@dataclass(frozen=True, slots=True)
class Bare:
    """A plain scalar that YAML programs read in different ways; its author must say which."""

    text: str


class Broken:
    """Stands where something unusable stood that has been complained about already."""


class Nothing:
    """Stands where a key has no value."""


BROKEN = Broken()
NOTHING = Nothing()
Scalar = str | int | Decimal | bool | Bare | Broken | None
Steps = tuple[str | int, ...]


_NAME = re.compile(r"[a-z0-9-]{1,32}")


class Readable(Protocol):
    """A file: `pathlib.Path`, or a packaged resource."""

    def read_bytes(self) -> bytes:
        """Its content."""
        ...


@dataclass(slots=True)
class Node:
    """A value with its place (from 1). `key` is the place of the key it stands under; the root has none."""

    line: int
    column: int
    key: tuple[int, int] | None = None
    value: Scalar | dict[str, Node] | list[Node] = None

    def data(self) -> object:
        """The same as plain dicts, lists and scalars."""
        match self.value:
            case dict():
                return {key: node.data() for key, node in self.value.items()}
            case list():
                return [node.data() for node in self.value]
            case _:
                return self.value

    def entries(self) -> Mapping[str, Node]:
        """Its entries; none when it is no mapping."""
        return self.value if isinstance(self.value, dict) else {}

    def items(self, key: str) -> Sequence[Node]:
        """The nodes of the list under `key`; none when there is no such list."""
        node = self.entries().get(key)
        return node.value if node is not None and isinstance(node.value, list) else ()

    def at(self, path: Steps) -> tuple[Node, int]:
        """The node at `path`, or the last one on the way to it, and how many parts of `path` led there."""
        node = self
        for depth, part in enumerate(path):
            match node.value:
                case dict() if str(part) in node.value:
                    node = node.value[str(part)]
                case list() if isinstance(part, int) and part < len(node.value):
                    node = node.value[part]
                case _:
                    return node, depth
        return node, len(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A read file: its name as shown, its text, its root, and what was wrong with it so far."""

    file: str
    text: str
    root: Node
    problems: list[Problem] = field(default_factory=list)

    def complain(self, path: Steps, code: str, **arguments: str) -> None:
        """Notes a problem at the node of `path`; where that is missing, at the key that leads there."""
        node, depth = self.root.at(path)
        here = (node.line, node.column)
        self._note(path, node.key or here if depth < len(path) else here, code, arguments)

    def complain_key(self, path: Steps, code: str, **arguments: str) -> None:
        """Notes a problem at the key of the node at `path`."""
        node, _ = self.root.at(path)
        self._note(path, node.key or (node.line, node.column), code, arguments)

    def _note(self, path: Steps, place: tuple[int, int], code: str, arguments: Mapping[str, str]) -> None:
        self.problems.append(
            Problem(file=self.file, line=place[0], column=place[1], path=dotted(path), code=code, arguments=arguments)
        )

    def complain_reference(self, path: Steps, code: str, known: Sequence[str]) -> None:
        """Notes that the text at `path` names nothing among `known`."""
        word = shown(self.root.at(path)[0].value)
        arguments = {"value": word, "allowed": " ".join(sorted(known)) or "-"}
        self.complain(path, code, **arguments, **near(word, list(known)))


def dotted(path: Steps) -> str:
    """`meters.main-flow.poll`, `items[3].register`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: object) -> str:
    """A scalar as its author wrote it, short enough for a message."""
    match value:
        case bool():
            text = "true" if value else "false"
        case Bare():
            text = value.text
        case dict():
            text = "{…}"
        case list():
            is_flat = not any(isinstance(each, dict | list) for each in value)
            text = f"[{', '.join(map(shown, value))}]" if is_flat else "[…]"
        case _:
            text = str(value) or '""'
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 - a message has a line or two


def is_name(text: str) -> bool:
    """Whether `text` is a name of ours: `[a-z0-9-]{1,32}`."""
    return _NAME.fullmatch(text) is not None


def listed(directory: Traversable) -> list[str]:
    """The file names in a directory; none when there is no such directory or it cannot be read."""
    try:
        return [file.name for file in directory.iterdir()]
    except OSError:
        return []


def read_file(source: Readable, file: str) -> Document:
    """The document in a file. Raises FormErrors when it cannot be read or is no YAML mapping."""
    try:
        content = source.read_bytes()
    except FileNotFoundError as error:
        raise _one(file, 1, 1, "file-missing") from error
    except OSError as error:
        raise _one(file, 1, 1, "file-unreadable", detail=error.strerror or type(error).__name__) from error
    return read_bytes(content, file)


def read_bytes(content: bytes, file: str) -> Document:
    """The document in `content`. Raises FormErrors as `read_file` does."""
    if len(content) > SIZE_LIMIT:
        raise _one(file, 1, 1, "file-too-big", value=str(len(content)), limit=str(SIZE_LIMIT))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        raise _one(file, *_place(before, len(before)), "file-not-utf8") from error
    return read_text(text, file)


def read_text(text: str, file: str) -> Document:
    """The document in `text`. Raises FormErrors for what no later check could make sense of."""
    control = _CONTROL.search(text)
    if control:
        raise _one(file, *_place(text, control.start()), "file-control", value=f"U+{ord(control[0]):04X}")
    composer = _Composer(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except yaml.YAMLError as error:
        raise FormErrors([*composer.problems, wide_problem(file, text, error) or _syntax(file, text, error)]) from error
    if composer.root is None or composer.root.value is None:
        raise FormErrors([*composer.problems, _problem(file, 1, 1, "file-empty")])
    if not isinstance(composer.root.value, dict):
        raise FormErrors(
            [*composer.problems, _problem(file, composer.root.line, composer.root.column, "file-no-mapping")]
        )
    return Document(file=file, text=text, root=composer.root, problems=composer.problems)


def _place(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


def _problem(file: str, line: int, column: int, code: str, path: str = "", **arguments: str) -> Problem:
    return Problem(file=file, line=line, column=column, path=path, code=code, arguments=arguments)


def _one(file: str, line: int, column: int, code: str, **arguments: str) -> FormErrors:
    return FormErrors([_problem(file, line, column, code, **arguments)])


def _syntax(file: str, text: str, error: yaml.YAMLError) -> Problem:
    """The likeliest mistake behind the parser's complaint."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return _problem(file, 1, 1, "yaml-syntax", detail=str(error))
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    here = lines[line - 1][column - 1 :] if line <= len(lines) else ""
    said = f"{error.context or ''} {error.problem or ''}".strip()
    if "\t" in here[: len(here) - len(here.lstrip()) or 1]:
        return _problem(file, line, column, "yaml-tab")
    if here[:1] in {"@", "`", "%"}:
        return _problem(file, line, column, "yaml-reserved", value=here[0])
    if "mapping values are not allowed" in said:
        return _problem(file, line, column, "yaml-colon")
    if "quoted scalar" in said or "flow" in said:
        return _problem(file, *_start_of(error.context_mark, lines, (line, column)), "yaml-unclosed")
    return _problem(file, line, column, "yaml-syntax", detail=said)


def _start_of(opened: yaml.Mark | None, lines: Sequence[str], otherwise: tuple[int, int]) -> tuple[int, int]:
    return (opened.line + 1, opened.column + 1) if opened and opened.line < len(lines) else otherwise


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come; in a mapping `key` is the key whose value is awaited."""

    node: Node
    is_key: bool = False  # a collection where a key should be: its value comes after it
    key: str | None = None
    key_place: tuple[int, int] | None = None
    dropped: bool = False  # the awaited value belongs to a key that was complained about


class _Composer:
    """Takes the parser's events and builds nodes."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self._file = file
        self._open: list[_Open] = []

    def take(self, event: yaml.Event) -> None:
        """One event. Raises FormErrors for a second document and for endless nesting."""
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        match event:
            case yaml.DocumentStartEvent() if self.root is not None:
                raise FormErrors([*self.problems, _problem(self._file, line, column, "yaml-many")])
            case yaml.ScalarEvent():
                self._scalar(event, line, column)
            case yaml.AliasEvent():
                self._complain(line, column, "yaml-alias", value=f"*{event.anchor}")
                if self._awaits_key():
                    self._drop_key()
                else:
                    self._add(Node(line, column, value=BROKEN))
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._start(event, line, column)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                ended = self._open.pop()
                if self._open and not ended.is_key:
                    self._open[-1].key = None

    def _complain(self, line: int, column: int, code: str, **arguments: str) -> None:
        keys = [opened.key for opened in self._open if opened.key is not None]
        self.problems.append(_problem(self._file, line, column, code, ".".join(keys), **arguments))

    def _start(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int, column: int) -> None:
        if len(self._open) >= DEPTH_LIMIT:
            raise FormErrors([*self.problems, _problem(self._file, line, column, "yaml-deep", limit=str(DEPTH_LIMIT))])
        node = Node(line, column, value={} if isinstance(event, yaml.MappingStartEvent) else [])
        if event.tag is not None:
            self._complain(line, column, "yaml-tag", value=event.tag)
        is_key = self._awaits_key()
        if is_key:
            self._complain(line, column, "yaml-key")
            self._drop_key()
        else:
            self._add(node)
        self._open.append(_Open(node, is_key))

    def _drop_key(self) -> None:
        self._open[-1].key, self._open[-1].dropped = "?", True

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].node.value, dict) and self._open[-1].key is None

    def _scalar(self, event: yaml.ScalarEvent, line: int, column: int) -> None:
        if self._awaits_key():
            self._key(event.value, line, column)
            return
        value: Scalar = event.value if event.style in {"'", '"', "|", ">"} else scalar(event.value)
        if event.tag is not None:
            self._complain(line, column, "yaml-tag", value=event.tag)
            value = BROKEN
        self._add(Node(line, column, value=value))

    def _key(self, key: str, line: int, column: int) -> None:
        opened = self._open[-1]
        assert isinstance(opened.node.value, dict)
        before = opened.node.value.get(key)
        opened.key, opened.key_place, opened.dropped = key, (line, column), before is not None
        if key == "<<":
            opened.dropped = True
            self._complain(line, column, "yaml-merge")
        elif before is not None:
            first = before.key or (before.line, before.column)
            self._complain(line, column, "duplicate-key", key=key, first=str(first[0]))

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        opened = self._open[-1]
        if isinstance(opened.node.value, list):
            opened.node.value.append(node)
        elif opened.key is not None and isinstance(opened.node.value, dict):
            node.key = opened.key_place
            if not opened.dropped:
                opened.node.value[opened.key] = node
            if not isinstance(node.value, dict | list):
                opened.key = None


def scalar(text: str) -> Scalar:
    """What a plain scalar means here: nothing is guessed."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    if text in _GUESSED or _DIGITS.fullmatch(text):
        return Bare(text)
    return Bare(text) if any(pattern.match(text) for pattern in _elsewhere(text[0])) else text


def _elsewhere(first: str) -> list[re.Pattern[str]]:
    """What YAML 1.1 takes for something else than text among scalars that begin with `first`."""
    table = yaml.resolver.Resolver.yaml_implicit_resolvers
    return [pattern for _, pattern in [*table.get(first, []), *table.get(None, [])]]
