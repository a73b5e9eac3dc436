"""The station's configuration, from YAML to settings: every mistake at once, or a configuration that stands.

Strategy: the whole file is judged by the models of `config_form`; then, on those lines and meters that stand alone,
what only shows in company is checked: names that refer to each other, ports and addresses taken twice, addresses the
protocol cannot have. So one run shows all of it. Uplinks are judged by models that the caller passes in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agent.config_form import ConfigForm, LineForm, MeterForm
from agent.decode import bundles
from agent.form.fields import UplinkSection
from agent.form.judge import accepted, judged
from agent.form.nodes import Document, Node, Steps, is_name, read_file, read_text, shown
from agent.form.problems import FormErrors, Problem
from agent.profiles import Drivers, Library
from agent.settings import (
    ClockSettings,
    Config,
    LineSettings,
    MeterSettings,
    Profile,
    SerialSettings,
    Station,
    StoreSettings,
    TcpAddress,
)
from drivers.contract import SpecError

__all__ = [
    "ClockSettings",
    "Config",
    "LineSettings",
    "MeterSettings",
    "Station",
    "StoreSettings",
    "TcpAddress",
    "copy_of",
    "load",
    "load_copy",
]

PROFILES = "profiles"  # the site's own lie in this directory beside the configuration file
UplinkModels = Mapping[str, type[UplinkSection]]
_DEFAULT = SerialSettings()
_SERIAL_KEYS = ("baud", "parity", "stop_bits", "silence", "echo", "rs485")


def load(
    path: Path,
    *,
    drivers: Drivers,
    uplink_settings: UplinkModels,
    profile_dirs: Sequence[Path] | None = None,
    text: str | None = None,
    profile_texts: Mapping[str, str] | None = None,
) -> Config:
    """The configuration in the file `path`, or in `text` as if it were that file.

    Profiles come from `profile_texts`, `profile_dirs` (default: `profiles/` beside the file) and the package.
    Raises FormErrors with everything that is wrong in the file and in the profiles it names.
    """
    document = read_file(path, str(path)) if text is None else read_text(text, str(path))
    directories = (path.parent / PROFILES,) if profile_dirs is None else profile_dirs
    library = Library(drivers=drivers, directories=directories, texts=profile_texts)
    return _Loader(document, library, drivers).config(uplink_settings)


def copy_of(config: Config) -> str:
    """Everything needed to load `config` again, whatever becomes of its files: its text and its profiles'."""
    return json.dumps({"text": config.text, "profiles": {name: each.text for name, each in config.profiles.items()}})


def load_copy(copy: str, path: Path, *, drivers: Drivers, uplink_settings: UplinkModels) -> Config:
    """The configuration in a copy made by `copy_of`. Raises FormErrors; ValueError when the copy is damaged."""
    content = json.loads(copy)
    if not (isinstance(content, dict) and {"text", "profiles"} <= content.keys()):
        raise ValueError("not a copy of a configuration")
    return load(
        path,
        drivers=drivers,
        uplink_settings=uplink_settings,
        profile_dirs=(),
        text=content["text"],
        profile_texts=content["profiles"],
    )


class _Loader:
    """One reading of one file."""

    def __init__(self, document: Document, library: Library, drivers: Drivers) -> None:
        self._document = document
        self._library = library
        self._drivers = drivers
        self._profiles: dict[str, Profile | None] = {}
        self._line_forms: dict[str, LineForm] = {}
        self._others: list[Problem] = []  # in the profiles' files

    def config(self, uplink_settings: UplinkModels) -> Config:
        """The configuration. Raises FormErrors."""
        form = judged(self._document, (), ConfigForm)
        lines = self._lines()
        meters = self._meters(lines)
        uplinks = self._uplinks(uplink_settings)
        if form is None or self._document.problems or self._others:
            raise FormErrors([*self._document.problems, *self._others])
        assert lines.keys() == form.lines.keys(), "what is left out was complained about"
        assert meters.keys() == form.meters.keys(), "what is left out was complained about"
        return Config(
            station=Station(
                id=form.station.id,
                name=form.station.name or form.station.id,
                timezone=form.station.timezone,
                day_start=form.station.day_start,
            ),
            store=StoreSettings(
                path=form.store.path,
                keep_s=form.store.keep // 1000,
                max_size=form.store.max_size,
                free_disk=form.store.free_disk,
            ),
            clock=ClockSettings(trust=form.clock.trust),
            lines=MappingProxyType(lines),
            meters=MappingProxyType(meters),
            uplinks=MappingProxyType(uplinks),
            profiles=MappingProxyType({name: each for name, each in self._profiles.items() if each is not None}),
            text=self._document.text,
        )

    def _section(self, name: str) -> Mapping[str, Node]:
        node = self._document.root.entries().get(name)
        return {} if node is None else node.entries()

    def _lines(self) -> dict[str, LineSettings]:
        """The lines that stand, after noting what is wrong with them in company."""
        found: dict[str, LineSettings] = {}
        taken: dict[str, str] = {}
        for name, node in self._section("lines").items():
            path: Steps = ("lines", name)
            self._check_line(path, node)
            form = accepted(self._document, path, LineForm)
            if form is None or (form.port is None) == (form.tcp is None):
                continue
            line = _line_settings(name, form)
            if line.place in taken:
                key = "port" if form.port is not None else "tcp"
                self._document.complain((*path, key), "port-taken", value=line.place, other=taken[line.place])
            taken.setdefault(line.place, name)
            found[name], self._line_forms[name] = line, form
        return found

    def _check_line(self, path: Steps, node: Node) -> None:
        """Keys that do not go together."""
        complain, complain_key, keys = self._document.complain, self._document.complain_key, set(node.entries())
        framing = self._document.root.at((*path, "framing"))[0].value if "framing" in keys else None
        if {"port", "tcp"} <= keys:
            complain_key((*path, "tcp"), "port-and-tcp")
        elif not {"port", "tcp"} & keys:
            if isinstance(node.value, dict):  # else its model complains
                complain(path, "port-or-tcp")
        elif "tcp" in keys:
            unfit = _SERIAL_KEYS if framing in {None, "tcp"} else ("rs485",)
            for key in unfit:
                if key in keys:
                    complain_key((*path, key), "serial-on-tcp", key=key)
        elif framing == "tcp":
            complain((*path, "framing"), "framing-on-port")

    def _meters(self, lines: Mapping[str, LineSettings]) -> dict[str, MeterSettings]:
        """The meters that stand, after noting what is wrong with their names and addresses."""
        found: dict[str, MeterSettings] = {}
        taken: dict[tuple[str, str, str], str] = {}
        for name in self._section("meters"):
            path: Steps = ("meters", name)
            self._check_line_name(path)
            profile = self._profile((*path, "profile"))
            form = accepted(self._document, path, MeterForm)
            if profile is None or form is None:
                continue
            quantities = self._quantities(path, form, profile)
            if form.line not in lines:
                continue
            meter = _meter_settings(name, form, self._line_forms[form.line], profile, quantities)
            self._check_address((*path, "address"), meter, profile, lines[form.line])
            key = (meter.line, profile.protocol, meter.address.lstrip("0"))
            if key in taken:
                self._document.complain((*path, "address"), "address-taken", value=meter.address, other=taken[key])
            taken.setdefault(key, name)
            found[name] = meter
        return found

    def _check_line_name(self, path: Steps) -> None:
        names = list(self._section("lines"))
        node = self._section("meters")[str(path[-1])].entries().get("line")
        if node is not None and isinstance(node.value, str) and is_name(node.value) and node.value not in names:
            self._document.complain_reference((*path, "line"), "line", names)

    def _profile(self, path: Steps) -> Profile | None:
        """The profile named at `path`; None after noting what is wrong with it."""
        node, depth = self._document.root.at(path)
        if depth < len(path) or not isinstance(node.value, str) or not is_name(node.value):
            return None  # its own model complains
        name = node.value
        if not self._library.has(name):
            self._document.complain_reference(path, "profile", self._library.names())
            return None
        if name not in self._profiles:
            try:
                self._profiles[name] = self._library.load(name)
            except FormErrors as errors:
                self._others += errors.problems
                self._profiles[name] = None
        return self._profiles[name]

    def _quantities(self, path: Steps, form: MeterForm, profile: Profile) -> tuple[str, ...]:
        """The quantities to read, in the profile's order."""
        known = [entry.quantity for entry in profile.entries]
        wanted = known if form.quantities is None else form.quantities
        for index, quantity in enumerate(wanted):
            if quantity not in known:
                self._document.complain_reference((*path, "quantities", index), "meter-quantity", known)
        return tuple(quantity for quantity in known if quantity in wanted)

    def _check_address(self, path: Steps, meter: MeterSettings, profile: Profile, line: LineSettings) -> None:
        """Lets the protocol plan the reads, which tells whether the address and the profile can work there."""
        driver = self._drivers[profile.protocol](framing=line.framing)
        entries = [entry for entry in profile.entries if entry.quantity in meter.quantities]
        try:
            driver.plan(meter.address, bundles(entries), profile.limits)
        except SpecError as error:
            where = path if error.key == "address" else (*path[:-1], "profile")
            self._document.complain(where, error.code, **{"key": error.key, **error.arguments})

    def _uplinks(self, models: UplinkModels) -> dict[str, Any]:
        """The settings of each uplink that stands."""
        found = {}
        for name, node in self._section("uplinks").items():
            path: Steps = ("uplinks", name)
            kind = node.entries().get("type")
            if node.value is None:
                self._document.complain(path, "nothing")
            elif not isinstance(node.value, dict):
                self._document.complain(path, "mapping", value=shown(node.value))
            elif kind is None:
                self._document.complain(path, "missing", key="type")
            elif not isinstance(kind.value, str) or kind.value not in models:
                self._document.complain_reference((*path, "type"), "choice", list(models))
            else:
                settings = judged(self._document, path, models[kind.value])
                found[name] = None if settings is None else settings.options()
        return found


def _line_settings(name: str, form: LineForm) -> LineSettings:
    return LineSettings(
        name=name,
        port=form.port,
        tcp=form.tcp,
        framing=form.framing or ("tcp" if form.port is None else "rtu"),
        baud=form.baud or _DEFAULT.baud,
        parity=form.parity or _DEFAULT.parity,
        stop_bits=form.stop_bits or _DEFAULT.stop_bits,
        echo=form.echo,
        rs485=form.rs485,
        timeout_s=form.timeout / 1000,
        silence_ms=form.silence,
    )


def _meter_settings(
    name: str, form: MeterForm, line: LineForm, profile: Profile, quantities: tuple[str, ...]
) -> MeterSettings:
    return MeterSettings(
        name=name,
        line=form.line,
        profile=form.profile,
        address=form.address,
        poll_ms=form.poll,
        baud=form.baud or line.baud or profile.line.baud,
        parity=form.parity or line.parity or profile.line.parity,
        stop_bits=form.stop_bits or line.stop_bits or profile.line.stop_bits,
        silence_ms=line.silence + profile.silence_ms,
        quantities=quantities,
    )
