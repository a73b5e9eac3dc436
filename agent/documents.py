"""The files that are made from the models and the locale: JSON Schemas for editors and the reference pages.

`python -m agent.documents [ROOT]` writes them below the repository's root; a test fails while they are stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, create_model

from agent.archive.form import ArchiveForm
from agent.config_form import ConfigForm
from agent.form.fields import Name
from agent.form.reference import page_of, schema_of, sections_of
from agent.intakes.form import IntakeForm
from agent.library_page import library_page
from agent.messages import LANGUAGES, Messages, fault_page
from agent.profile_form import FactorForm, FlagForm, ItemForm, MarkForm, PartForm, ProfileForm
from agent.profiles import Library
from agent.rules.page import rules_page
from agent.uplinks.registry import settings_models
from drivers.contract import SpecError
from drivers.registry import DRIVERS


def config_schema() -> dict[str, Any]:
    """The JSON Schema of a station's configuration, with every type of uplink."""
    return schema_of(_config_form(), [Messages(lang) for lang in LANGUAGES])


def profile_schema() -> dict[str, Any]:
    """The JSON Schema of a profile; the keys of its protocol are named, their values are the driver's to judge."""
    languages = [Messages(lang) for lang in LANGUAGES]
    schema = schema_of(ProfileForm, languages)
    sentences: dict[str, list[str]] = {}  # protocols may share a key and mean different things by it
    for protocol in DRIVERS:
        for key in item_keys(protocol):
            told = [f"{protocol}: {each.text(f'field.{protocol}-item.{key}')}" for each in languages]
            sentences.setdefault(key, []).extend(told)
    for section in (ItemForm, PartForm, FactorForm, FlagForm, MarkForm):
        for key, told in sentences.items():
            schema["$defs"][section.__name__]["properties"].setdefault(key, {"description": "\n".join(told)})
    return schema


def archive_schema() -> dict[str, Any]:
    """The JSON Schema of a metering archive."""
    return schema_of(ArchiveForm, [Messages(lang) for lang in LANGUAGES])


def documents() -> Mapping[str, str]:
    """Path below the root, and content, of everything that is made."""
    found = {
        "config/agent.schema.json": _json(config_schema()),
        "config/profile.schema.json": _json(profile_schema()),
        "config/archive.schema.json": _json(archive_schema()),
    }
    config, profile = _config_form(), ProfileForm
    library = Library(drivers=DRIVERS)
    profiles = [library.load(name) for name in library.names()]
    for lang in LANGUAGES:
        messages = Messages(lang)
        config_page = page_of([config, *sections_of(config)], messages, page="config", extra={})
        extra = {f"{protocol}-item": item_keys(protocol) for protocol in DRIVERS}
        archive_page = page_of([ArchiveForm, *sections_of(ArchiveForm)], messages, page="archive", extra={})
        profile_page = page_of([profile, *sections_of(profile)], messages, page="profile", extra=extra)
        found[f"docs/reference/configuration.{lang}.md"] = config_page
        found[f"docs/reference/archive.{lang}.md"] = archive_page
        found[f"docs/reference/profile.{lang}.md"] = profile_page
        found[f"docs/reference/meters.{lang}.md"] = library_page(profiles, messages)
        found[f"docs/reference/rules.{lang}.md"] = rules_page(messages)
        found[f"docs/faults.{lang}.md"] = fault_page(messages)
    return found


def item_keys(protocol: str) -> list[str]:
    """The keys a protocol's driver knows in a profile's items, as the driver itself tells them."""
    try:
        DRIVERS[protocol]().item({"?": ""})
    except SpecError as error:
        return error.arguments["allowed"].split()
    raise AssertionError("a driver refuses unknown keys")


def _config_form() -> type[BaseModel]:
    """The configuration's model with the sections of intakes and of all uplinks in their places."""
    union: Any = None
    for settings in settings_models().values():
        kind: Any = settings.model_fields["type"].annotation  # in a file it is required, whatever its default in code
        section = create_model(settings.__name__, __base__=settings, type=(kind, Field(...)))
        union = section if union is None else union | section
    fields = ConfigForm.model_fields
    intakes, uplinks = (dict[Name, IntakeForm], fields["intakes"]), (dict[Name, union], fields["uplinks"])
    return create_model("Configuration", __base__=ConfigForm, intakes=intakes, uplinks=uplinks)


def _json(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def write(root: Path) -> None:
    """Writes all of them below `root`."""
    for path, content in documents().items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
