"""The reference pages, the schemas and the page about adding a meter: fresh, complete, and followed step by step."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from agent.archive.form import ArchiveForm
from agent.cli.main import main
from agent.config import load
from agent.config_form import ConfigForm
from agent.decode import bundles
from agent.documents import documents, item_keys
from agent.form.judge import keys_of
from agent.form.reference import locale_name, sections_of
from agent.intakes.form import IntakeForm
from agent.messages import LANGUAGES, Messages
from agent.profile_form import ProfileForm
from agent.profiles import Library
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("path", sorted(documents()))
def test_what_is_made_from_the_models_is_fresh(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == documents()[path], "stale: run `make docs`"


@pytest.mark.parametrize("path", sorted(path for path in documents() if path.endswith(".md")))
def test_no_page_shows_the_name_of_a_sentence_in_its_place(path: str) -> None:
    names = r"\b(?:reference|section|field|fault|rule|evidence)\.[a-z][\w.-]*\.[\w-]+"
    assert re.findall(names, documents()[path]) == []


def every_section() -> set[type[BaseModel]]:
    """All that a person may write, with what only stations that have it load."""
    files = (ConfigForm, IntakeForm, ProfileForm, ArchiveForm, *settings_models().values())
    return {section for file in files for section in (file, *sections_of(file))}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_key_of_the_configuration_and_of_profiles_is_explained(lang: str) -> None:
    messages = Messages(lang)
    page = (ROOT / "docs" / "reference" / f"configuration.{lang}.md").read_text(encoding="utf-8")
    page += (ROOT / "docs" / "reference" / f"profile.{lang}.md").read_text(encoding="utf-8")
    page += (ROOT / "docs" / "reference" / f"archive.{lang}.md").read_text(encoding="utf-8")
    sections = every_section()
    keys = {f"{locale_name(section)}.{name}" for section in sections for name in keys_of(section)}
    keys |= {f"{protocol}-item.{key}" for protocol in DRIVERS for key in item_keys(protocol)}
    missing = {key for key in keys if not messages.has(f"field.{key}") or f"`{key.split('.')[1]}`" not in page}
    assert missing == set()
    assert all(messages.has(f"section.{key.split('.')[0]}") for key in keys)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_is_explained_that_is_not_there(lang: str) -> None:
    sections = every_section()
    keys = {f"field.{locale_name(section)}.{name}" for section in sections for name in keys_of(section)}
    keys |= {f"field.{protocol}-item.{key}" for protocol in DRIVERS for key in item_keys(protocol)}
    assert {key for key in Messages(lang).keys() if key.startswith("field.")} == keys  # noqa: SIM118


def test_the_schema_for_editors_accepts_every_shipped_profile_and_refuses_wrong_ones() -> None:
    schema = json.loads((ROOT / "config" / "profile.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    files = [*(ROOT / "config" / "profiles").glob("*.yaml"), ROOT / "config" / "profile.template.yaml"]
    for file in files:
        profile = json.loads(json.dumps(yaml.safe_load(file.read_text(encoding="utf-8"))))
        assert list(validator.iter_errors(profile)) == [], file.name
        assert list(validator.iter_errors({**profile, "itms": []}))
        assert list(validator.iter_errors({**profile, "items": [{**profile["items"][0], "quantity": "water"}]}))


@pytest.mark.parametrize(
    "name", ["agent.example.yaml", *(f"profiles/{name}.yaml" for name in Library(drivers=DRIVERS).names())]
)
def test_what_is_shipped_names_its_schema_for_editors(name: str) -> None:
    file = ROOT / "config" / name
    found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", file.read_text(encoding="utf-8"))
    assert found
    assert (file.parent / found[1]).is_file()


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_meter_is_added_by_following_the_page(lang: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = ROOT / "docs" / "technicians" / f"add-a-meter.{lang}.md"
    profile, meters = blocks(page, "yaml")
    site = tmp_path / "agent.yaml"
    site.write_text(f"station: {{id: well-3}}\nlines: {{rs485-1: {{port: /dev/ttyUSB0}}}}\n{meters}", encoding="utf-8")
    (tmp_path / "profiles").mkdir()

    # step 2: a new file, then what the page shows
    assert main(["profiles", "new", "acme-lxe50"]) == 0
    (tmp_path / "profiles" / "acme-lxe50.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    (tmp_path / "profiles" / "acme-lxe50.yaml").write_text(profile, encoding="utf-8")
    # step 3
    assert main(["profiles", "test", "acme-lxe50", "-c", str(site)]) == 0
    # step 4
    assert main(["check", str(site)]) == 0
    config = load(site, drivers=DRIVERS, uplink_settings=settings_models())
    # step 5: the one request that a poll of it sends is the one whose reply the page shows
    driver = DRIVERS["modbus"](framing="rtu")
    (ask,) = driver.plan(config.meters["well-flow"].address, bundles(config.entries("well-flow")), {})
    test = yaml.safe_load(profile)["tests"][0]
    assert ask.begin(0).request == bytes.fromhex(test["request"])


def test_both_languages_of_a_page_show_the_same_files_and_commands() -> None:
    for kind in ("yaml", "sh"):
        zh, en = (blocks(ROOT / "docs" / "technicians" / f"add-a-meter.{lang}.md", kind) for lang in LANGUAGES)
        assert zh == en
