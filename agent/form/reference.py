"""JSON Schemas for editors and the reference pages, from the same models that judge the files.

Titles come from locale/ by `field.SECTION.KEY`, where a section's name is its class's `locale_name`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agent.form.fields import Amount, DurationMs, Kind, SizeBytes, duration_text, size_text
from agent.form.judge import keys_of, section_of
from agent.form.variants import sections_in
from agent.messages import Messages

SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def schema_of(model: type[BaseModel], languages: Sequence[Messages]) -> dict[str, Any]:
    """The JSON Schema of a file, each key described in all languages."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    for section in (model, *sections_of(model)):
        _describe(schema if section is model else definitions[section.__name__], section, languages)
    return {"$schema": SCHEMA, **_without_titles(schema)}


def sections_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The sections below `model`, each once, in the order of the keys."""
    seen: dict[type[BaseModel], None] = {}
    for field in model.model_fields.values():
        for section in sections_in(field.annotation):
            if section not in seen:
                seen[section] = None
                seen.update(dict.fromkeys(sections_of(section)))
    yield from seen


def locale_name(model: type[BaseModel]) -> str:
    """The name under which locale/ describes the keys of a section."""
    return str(getattr(model, "locale_name", model.__name__))


def fields_of(section: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """The keys of a section as they are written in the file, each with its field."""
    return list(zip(keys_of(section), section.model_fields.values(), strict=True))


def page_of(
    sections: Sequence[type[BaseModel]], messages: Messages, *, page: str, extra: Mapping[str, Sequence[str]]
) -> str:
    """The reference page `page` in Markdown. `extra` adds tables of keys that no model knows, by section name."""
    text = messages.text
    parts = [f"# {text(f'reference.{page}-title')}", text("reference.generated"), text(f"reference.{page}-intro")]
    for section in sections:
        parts += [f"## {text(f'section.{locale_name(section)}')}", _table(section, messages)]
    for name, keys in extra.items():
        rows = [f"| `{key}` | {_cell(text(f'field.{name}.{key}'))} |" for key in keys]
        head = [f"| {text('reference.key')} | {text('reference.meaning')} |", "|---|---|"]
        parts += [f"## {text(f'section.{name}')}", "\n".join([*head, *rows])]
    return "\n\n".join(parts) + "\n"


def _table(section: type[BaseModel], messages: Messages) -> str:
    columns = [messages.text(f"reference.{column}") for column in ("key", "meaning", "value", "default")]
    lines = [f"| {' | '.join(columns)} |", "|---|---|---|---|"]
    for name, field in fields_of(section):
        cells = (
            f"`{name}`",
            messages.text(f"field.{locale_name(section)}.{name}"),
            _value_text(field, messages),
            messages.text("reference.required") if field.is_required() else _default_text(field),
        )
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _value_text(field: FieldInfo, messages: Messages) -> str:
    """What may be written for a field, in a few words."""
    return _kind_text(*_bare(field.annotation, field.metadata), messages)


def _bare(annotation: Any, metadata: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    """The annotation without `Annotated` and `| None`, and all metadata on the way."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if hasattr(annotation, "__metadata__"):
        return _bare(parts[0], [*annotation.__metadata__, *metadata])
    if get_origin(annotation) in {Union, UnionType} and len(parts) == 1:
        return _bare(parts[0], metadata)
    return annotation, metadata


def _kind_text(annotation: Any, metadata: Sequence[Any], messages: Messages) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    kind = next((each for each in metadata if isinstance(each, Kind)), None)
    low, high = _limit(metadata, "ge"), _limit(metadata, "le")
    arguments: dict[str, str] = {}
    if kind is not None:
        word = kind.word
        arguments = {"low": kind.low, "high": kind.high} if isinstance(kind, Amount | DurationMs | SizeBytes) else {}
    elif section_of(annotation) is not None:
        word = "sections" if origin is dict else "list" if origin is list else "section"
    elif origin is list:
        word, arguments = "list-of", {"of": _kind_text(*_bare(parts[0], ()), messages)}
    elif origin is Literal:
        return " ".join(f"`{part}`" for part in parts)
    elif annotation is int and low is not None and high is not None:
        word, arguments = "whole-range", {"low": str(low), "high": str(high)}
    else:
        word = "mapping" if origin is dict else {int: "whole", bool: "switch"}.get(annotation, "text")
    return messages.text(f"reference.kind.{word}", **arguments)


def _limit(metadata: Sequence[Any], name: str) -> Any:
    for each in metadata:
        if hasattr(each, name):
            return getattr(each, name)
        if (found := _limit(getattr(each, "metadata", ()), name)) is not None:
            return found
    return None


def _default_text(field: FieldInfo) -> str:
    default = field.default
    if default is PydanticUndefined or default is None or isinstance(default, BaseModel) or default == "":
        return "–"
    if isinstance(default, bool):
        return "`true`" if default else "`false`"
    for each in field.metadata:
        if isinstance(default, int) and isinstance(each, DurationMs):
            return f"`{duration_text(default)}`"
        if isinstance(default, int) and isinstance(each, SizeBytes):
            return f"`{size_text(default)}`"
    return f"`{default}`"


def _describe(schema: dict[str, Any], section: type[BaseModel], languages: Sequence[Messages]) -> None:
    """Puts every key's meaning, and defaults as they are written, into the schema of one section."""
    for name, field in fields_of(section):
        key = schema["properties"][name]
        sentences = [messages.text(f"field.{locale_name(section)}.{name}") for messages in languages]
        key["description"] = "\n".join(sentences)
        shown = _default_text(field)
        key.pop("default", None)
        if shown != "–" and not field.is_required():
            default = field.default
            key["default"] = default if isinstance(default, bool) else shown.strip("`")
            if isinstance(default, int) and not isinstance(default, bool) and shown.strip("`") == str(default):
                key["default"] = default


def _without_titles(node: Any) -> Any:
    """The schema without pydantic's generated titles, which only repeat the keys."""
    match node:
        case dict():
            kept = {key: value for key, value in node.items() if not (key == "title" and isinstance(value, str))}
            return {key: _without_titles(value) for key, value in kept.items()}
        case list():
            return [_without_titles(each) for each in node]
        case _:
            return node
