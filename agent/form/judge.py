"""Judges nodes by a pydantic model: the object, or every complaint at its place in our own words."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agent.form.fields import FROM_FILE
from agent.form.nodes import Bare, Broken, Document, Nothing, Steps, shown
from agent.form.problems import near
from agent.form.variants import sections_in, untagged

Model = TypeVar("Model", bound=BaseModel)

_CODES = {  # pydantic's error type: the sentence of ours
    "string_type": "text", "string_sub_type": "text",
    "int_type": "whole", "int_parsing": "whole", "int_from_float": "whole",
    "bool_type": "switch", "bool_parsing": "switch",
    "float_type": "number", "float_parsing": "number", "decimal_type": "number", "decimal_parsing": "number",
    "dict_type": "mapping", "model_type": "mapping", "model_attributes_type": "mapping", "mapping_type": "mapping",
    "list_type": "list", "tuple_type": "list", "set_type": "list", "frozen_set_type": "list",
    "greater_than_equal": "too-small", "greater_than": "too-small",
    "less_than_equal": "too-large", "less_than": "too-large",
    "string_too_short": "too-short", "string_too_long": "too-long",
    "too_short": "too-few", "too_long": "too-many",
    "literal_error": "choice", "enum": "choice",
    "string_pattern_mismatch": "pattern",
    "missing": "missing", "extra_forbidden": "unknown-key",
}  # fmt: skip
_LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length")


def judged(document: Document, path: Steps, model: type[Model]) -> Model | None:
    """The model's object from the node at `path`; None after noting every problem in `document`."""
    data = document.root.at(path)[0].data()
    try:
        return model.model_validate(data, context=FROM_FILE)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            _complain(document, path, details, model)
        return None


def accepted(document: Document, path: Steps, model: type[Model]) -> Model | None:
    """The model's object from the node at `path`, or None, without a word."""
    try:
        return model.model_validate(document.root.at(path)[0].data(), context=FROM_FILE)
    except ValidationError:
        return None


def _complain(document: Document, base: Steps, details: ErrorDetails, model: type[BaseModel]) -> None:
    """Notes one error of pydantic's under our code, at the node it means."""
    if isinstance(details["input"], Broken):
        return  # complained about when it was read
    tagged = details["loc"]
    on_key = bool(tagged) and tagged[-1] == "[key]"
    if on_key:
        tagged = tagged[:-1]
    local, _ = untagged(model, tagged)
    path = (*base, *local)
    code = _code(details)
    if code != "missing":
        path = path[: document.root.at(path)[1]]  # a section of which only the one key that matters is written
    arguments = _arguments(details, code)
    if code == "unknown-key":
        key = str(local[-1])
        known = _keys(model, tagged[:-1])
        arguments = {"key": key, "allowed": " ".join(sorted(known)), **near(key, known)}
        code = _not_a_key(key) or code
        on_key = True
    elif code == "missing":
        arguments = {"key": str(local[-1])}
    elif code == "choice":
        arguments |= near(arguments["value"], arguments["allowed"].split())
    complain = document.complain_key if on_key else document.complain
    complain(path, code, **arguments)


def _not_a_key(key: str) -> str | None:
    """The likelier mistake behind an unknown key: the digits behind a comma, or a colon without its space."""
    if key.isdecimal():
        return "key-comma"
    return "key-colon" if ":" in key or "：" in key else None


def _code(details: ErrorDetails) -> str:
    """Our code; for a wrong type first what is really there: nothing, or a scalar that wants quotes."""
    kind, given = details["type"], details["input"]
    code = kind.removeprefix("form.") if kind.startswith("form.") else _CODES.get(kind, "other")
    if code in {"missing", "unknown-key"}:
        return code
    if isinstance(given, Bare):
        return code if code in {"whole", "number", "switch", "date"} else "bare"
    if given is None or isinstance(given, Nothing):
        return "nothing"
    return "quote" if code == "text" and not isinstance(given, dict | list) else code


def _arguments(details: ErrorDetails, code: str) -> dict[str, str]:
    context = details.get("ctx", {})
    if details["type"].startswith("form."):
        own = {key: str(value) for key, value in context.items() if key != "code"}
        return own if code not in {"bare", "nothing"} else {"value": shown(details["input"])}
    if code == "nothing":
        return {}
    arguments = {"value": shown(details["input"])}
    for name in _LIMITS:
        if name in context:
            arguments["limit"] = str(context[name])
    if code == "choice":
        expected = str(context.get("expected", ""))
        arguments["allowed"] = " ".join(re.findall(r"'([^']*)'", expected) or re.findall(r"-?\d+", expected))
    if code == "other":
        arguments["detail"] = str(context.get("error", details["msg"]))
    return arguments


def _keys(model: type[BaseModel], place: Steps) -> list[str]:
    """The keys of the section to which an error's place leads from `model`."""
    section = section_of(untagged(model, place)[1])
    return keys_of(section) if section is not None else []


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a section as they are written in the file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The first section inside an annotation (`X | None`, `dict[str, X]`, `list[X]` …); None where there is none."""
    return next(sections_in(annotation), None)
