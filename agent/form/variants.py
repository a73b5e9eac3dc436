"""A place in a file where one of several sections may stand, told apart by the keys that are written there.

    Meter = Annotated[
        Annotated[PolledForm, Tag("polled")] | Annotated[ManualForm, Tag("manual")], told_by("polled", manual="manual")
    ]

Pydantic puts the tags into the place of an error; the judge takes them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Discriminator, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag
from pydantic_core import core_schema


def told_by(otherwise: str, **tags: str) -> Discriminator:
    """Chooses the section with the tag of the first key that is there; the tag `otherwise` where there is none."""

    def chosen(data: Any) -> str:
        keys = data if isinstance(data, Mapping) else ()
        return next((tag for key, tag in tags.items() if key in keys), otherwise)

    return Discriminator(chosen)


@dataclass(frozen=True, slots=True)
class OrText:
    """A section of which the one key that matters, `key`, may be written alone: `main-flow` for `{meter: main-flow}`.

    `is_list`: a list of sections, for which a single text may stand as well.
    """

    key: str
    is_list: bool = False

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def unfolded(data: Any) -> Any:
            if not isinstance(data, str):
                return data
            return [{self.key: data}] if self.is_list else {self.key: data}

        return core_schema.no_info_before_validator_function(unfolded, handler(source))

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(core)]}


def untagged(annotation: Any, place: Sequence[str | int]) -> tuple[tuple[str | int, ...], Any]:
    """An error's place without the tags that pydantic put into it, and the annotation to which it leads."""
    steps: list[str | int] = []
    for part in place:
        if any(tag is not None for _, tag in alternatives(annotation)):
            annotation = next((each for each, tag in alternatives(annotation) if tag == part), None)
        else:
            steps.append(part)
            annotation = _below(annotation, part)
    return tuple(steps), annotation


def alternatives(annotation: Any, tag: str | None = None) -> Iterator[tuple[Any, str | None]]:
    """What may stand there, without `Annotated` and None, each with its tag."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        told = next((each.tag for each in parts[1:] if isinstance(each, Tag)), tag)
        yield from alternatives(parts[0], told)
    elif origin in {Union, UnionType}:
        for part in parts:
            yield from alternatives(part, tag)
    elif annotation is not type(None):
        yield annotation, tag


def _below(annotation: Any, part: str | int) -> Any:
    """The annotation to which a key or an index leads; None where it leads nowhere."""
    for each, _ in alternatives(annotation):
        if get_origin(each) in {dict, list}:
            return get_args(each)[-1]
        if isinstance(each, type) and issubclass(each, BaseModel):
            fields = {field.alias or name: field for name, field in each.model_fields.items()}
            if str(part) in fields:
                return fields[str(part)].annotation
    return None


def sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections inside an annotation (`X | None`, `dict[str, X | Y]`, `list[X]` …)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for part in get_args(annotation):
        yield from sections_in(part)
