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
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from agent.archive.shelf import Shelf
from agent.config_form import ConfigForm, DialInForm, LineForm, ManualForm, MeterForm, StationForm
from agent.decode import bundles
from agent.dtu import Pattern
from agent.form.fields import UplinkSection
from agent.form.judge import accepted, judged
from agent.form.nodes import Document, Node, Steps, is_name, read_file, read_text, shown
from agent.form.problems import FormErrors, Problem
from agent.profiles import Drivers, Library
from agent.quantities import QUANTITIES
from agent.settings import (
    ClockSettings,
    Config,
    DialInSettings,
    LineSettings,
    ManualMeter,
    MeterSettings,
    Profile,
    SerialSettings,
    Station,
    StoreSettings,
    TcpAddress,
)
from drivers.contract import SpecError

if TYPE_CHECKING:
    from agent.intakes.settings import IntakeSettings

PROFILES = "profiles"  # the site's own lie in this directory beside the configuration file
UplinkModels = Mapping[str, type[UplinkSection]]
NOT_READ = ("status", "volume_withdrawn", "volume_hour", "volume_day", "energy_pumping")  # on no meter's display
_DEFAULT = SerialSettings()
_MEDIA = ("port", "tcp", "dial_in")
_TIMEOUT_S, _DIAL_IN_TIMEOUT_S = 1.0, 5.0  # a radio that slept, a cell that is full: seconds, not milliseconds
_SERIAL_KEYS = ("baud", "parity", "stop_bits", "silence", "echo", "rs485")


def load(
    path: Path,
    *,
    drivers: Drivers,
    uplink_settings: UplinkModels,
    profile_dirs: Sequence[Path] | None = None,
    text: str | None = None,
    profile_texts: Mapping[str, str] | None = None,
    archive_texts: Mapping[str, str] | None = None,
) -> Config:
    """The configuration in the file `path`, or in `text` as if it were that file.

    Profiles come from `profile_texts`, `profile_dirs` (default: `profiles/` beside the file) and the package; archives
    from `archive_texts`, by intake, else from where the file names them, beside it.
    Raises FormErrors with everything that is wrong in the file and in the profiles it names.
    """
    document = read_file(path, str(path)) if text is None else read_text(text, str(path))
    directories = (path.parent / PROFILES,) if profile_dirs is None else profile_dirs
    library = Library(drivers=drivers, directories=directories, texts=profile_texts)
    return _Loader(document, library, drivers, Shelf(path.parent, archive_texts)).config(uplink_settings)


def copy_of(config: Config) -> str:
    """Everything needed to load `config` again, whatever becomes of its files: its text, its profiles', archives'."""
    profiles = {name: each.text for name, each in config.profiles.items()}
    archives = {name: each.text for name, each in config.archives.items()}
    return json.dumps({"text": config.text, "profiles": profiles, "archives": archives})


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
        archive_texts=content.get("archives", {}),  # copies of before there were archives have none
    )


class _Loader:
    """One reading of one file."""

    def __init__(self, document: Document, library: Library, drivers: Drivers, shelf: Shelf) -> None:
        self._document = document
        self._shelf = shelf
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
        manual = self._manual()
        intakes = self._intakes(meters, manual)
        uplinks = self._uplinks(uplink_settings)
        others = [*self._others, *self._shelf.problems]
        if form is None or self._document.problems or others:
            raise FormErrors([*self._document.problems, *others])
        assert lines.keys() == form.lines.keys(), "what is left out was complained about"
        assert {*meters, *manual} == form.meters.keys(), "what is left out was complained about"
        assert intakes.keys() == form.intakes.keys(), "what is left out was complained about"
        return Config(
            station=Station(
                id=form.station.id,
                name=form.station.name or form.station.id,
                timezone=form.station.timezone,
                day_start=form.station.day_start,
                quarter_verify_days=form.station.quarter_verify_days,
                quarter_remind_days=tuple(sorted(form.station.quarter_remind_days)),
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
            manual=MappingProxyType(manual),
            intakes=MappingProxyType(intakes),
            archives=MappingProxyType(self._shelf.archives),
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
            for key in ("port", "tcp"):
                place = _text_in(node, key)
                if place and taken.setdefault(place, name) != name:
                    self._document.complain((*path, key), "port-taken", value=place, other=taken[place])
            form = accepted(self._document, path, LineForm)
            if form is not None and sum(getattr(form, key) is not None for key in _MEDIA) == 1:
                found[name], self._line_forms[name] = _line_settings(name, form), form
        self._check_dial_ins(found)
        return found

    def _check_dial_ins(self, lines: Mapping[str, LineSettings]) -> None:
        """Lines that listen at one address must be able to tell their DTUs apart."""
        heard: dict[TcpAddress, list[tuple[str, Pattern | None]]] = {}
        for name, line in lines.items():
            if line.dial_in is None:
                continue
            mine, others = line.dial_in.registration, heard.setdefault(line.dial_in.listen, [])
            for other, theirs in others:
                path: Steps = ("lines", name, "dial_in")
                if mine is None or theirs is None:
                    self._document.complain((*path, "listen"), "dial-in-shared", other=other)
                elif mine.may_name_the_same(theirs):
                    self._document.complain((*path, "registration"), "dial-in-same", other=other)
            others.append((name, mine))

    def _check_line(self, path: Steps, node: Node) -> None:
        """Keys that do not go together."""
        complain, complain_key, keys = self._document.complain, self._document.complain_key, set(node.entries())
        framing, media = _framing(node), [key for key in _MEDIA if key in keys]
        if len(media) > 1:
            complain_key((*path, media[1]), "port-and-tcp")
        elif not media:
            if isinstance(node.value, dict):  # else its model complains
                complain(path, "port-or-tcp")
        elif media != ["port"]:
            unfit = _SERIAL_KEYS if framing == "tcp" else ("rs485",)
            for key in unfit:
                if key in keys:
                    complain_key((*path, key), "serial-on-tcp", key=key)
        elif framing == "tcp":
            complain((*path, "framing"), "framing-on-port")

    def _meters(self, lines: Mapping[str, LineSettings]) -> dict[str, MeterSettings]:
        """The meters that stand, after noting what is wrong with their references and addresses.

        The checks look at the file itself, so that another mistake in the same meter or line hides none of them.
        """
        found: dict[str, MeterSettings] = {}
        taken: dict[tuple[str, str, str], str] = {}
        for name, node in self._section("meters").items():
            path: Steps = ("meters", name)
            if "manual" in node.entries():
                continue
            self._check_line_name(path)
            profile = self._profile((*path, "profile"))
            if profile is None:
                continue
            self._check_quantities(path, node, profile)
            self._check_address(path, node, profile, taken)
            form = accepted(self._document, path, MeterForm)
            if form is not None and form.line in lines:
                found[name] = _meter_settings(name, form, self._line_forms[form.line], profile)
        return found

    def _manual(self) -> dict[str, ManualMeter]:
        """The meters that people read."""
        found = {}
        for name, node in self._section("meters").items():
            path: Steps = ("meters", name)
            form = accepted(self._document, path, ManualForm) if "manual" in node.entries() else None
            if form is None:
                continue
            for index, quantity in enumerate(form.manual):
                if quantity in NOT_READ or quantity in form.manual[:index]:
                    code = "manual-quantity" if quantity in NOT_READ else "named-twice"
                    self._document.complain((*path, "manual", index), code, value=quantity)
            found[name] = ManualMeter(name=name, quantities=tuple(form.manual), period_ms=form.period)
        return found

    def _intakes(self, meters: dict[str, MeterSettings], manual: dict[str, ManualMeter]) -> dict[str, IntakeSettings]:
        if not self._section("intakes"):
            return {}
        from agent.config_intakes import intakes_of, known_meters  # noqa: PLC0415 - its models take long to load

        station = accepted(self._document, ("station",), StationForm)
        known = known_meters(list(self._section("meters")), meters, manual)
        zone = ZoneInfo("UTC" if station is None else station.timezone)
        return intakes_of(self._document, known, self._shelf, zone)

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

    def _check_quantities(self, path: Steps, node: Node, profile: Profile) -> None:
        known = [entry.quantity for entry in profile.entries]
        for index, quantity in enumerate(node.items("quantities")):
            named = quantity.value
            if isinstance(named, str) and named in QUANTITIES and named not in known:  # else its own model complains
                self._document.complain_reference((*path, "quantities", index), "meter-quantity", known)

    def _check_address(self, path: Steps, node: Node, profile: Profile, taken: dict[tuple[str, str, str], str]) -> None:
        """Lets the protocol plan the reads, which tells whether the address and the profile can work on that line."""
        address, line = _text_in(node, "address"), _text_in(node, "line")
        if not address or line not in self._section("lines"):
            return
        driver = self._drivers[profile.protocol](framing=_framing(self._section("lines")[line]))
        try:
            driver.plan(address, bundles(profile.entries), profile.limits)
        except SpecError as error:
            where = (*path, "address" if error.key == "address" else "profile")
            self._document.complain(where, error.code, **{"key": error.key, **error.arguments})
        key = (line, profile.protocol, address.lstrip("0"))
        other = taken.setdefault(key, str(path[-1]))
        if other != path[-1]:
            self._document.complain((*path, "address"), "address-taken", value=address, other=other)

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
                self._check_named(path, node)
        return found

    def _check_named(self, path: Steps, node: Node) -> None:
        """The intakes that a centre is told about, and the meter of its supply voltage, are there."""
        entries = node.entries()
        intakes = entries["intakes"].entries() if "intakes" in entries else {}
        named = [((*path, "intakes", channel), each, "intakes") for channel, each in intakes.items()]
        named += [((*path, "supply"), entries["supply"], "meters")] if "supply" in entries else []
        for place, each, section in named:
            known = list(self._section(section))
            if isinstance(each.value, str) and is_name(each.value) and each.value not in known:
                self._document.complain_reference(place, section[:-1], known)


def _text_in(node: Node, key: str) -> str:
    """The text under `key`; "" when there is none."""
    found = node.entries().get(key)
    return found.value if found is not None and isinstance(found.value, str) else ""


def _framing(line: Node) -> str:
    """How frames are made on a line, as far as the file tells."""
    told = _text_in(line, "framing")
    return told if told in {"rtu", "tcp"} else "tcp" if "tcp" in line.entries() else "rtu"


def _line_settings(name: str, form: LineForm) -> LineSettings:
    return LineSettings(
        name=name,
        port=form.port,
        tcp=form.tcp,
        framing=form.framing or ("rtu" if form.tcp is None else "tcp"),
        baud=form.baud or _DEFAULT.baud,
        parity=form.parity or _DEFAULT.parity,
        stop_bits=form.stop_bits or _DEFAULT.stop_bits,
        echo=form.echo,
        rs485=form.rs485,
        timeout_s=_timeout_s(form),
        silence_ms=form.silence,
        dial_in=None if form.dial_in is None else _dial_in_settings(form.dial_in),
    )


def _timeout_s(form: LineForm) -> float:
    if form.timeout is not None:
        return form.timeout / 1000
    return _TIMEOUT_S if form.dial_in is None else _DIAL_IN_TIMEOUT_S


def _dial_in_settings(form: DialInForm) -> DialInSettings:
    return DialInSettings(
        listen=form.listen,
        registration=form.registration,
        heartbeat=form.heartbeat,
        registration_answer=b"" if form.registration_answer is None else form.registration_answer.packet,
        heartbeat_answer=b"" if form.heartbeat_answer is None else form.heartbeat_answer.packet,
    )


def _meter_settings(name: str, form: MeterForm, line: LineForm, profile: Profile) -> MeterSettings:
    known = [entry.quantity for entry in profile.entries]
    wanted = known if form.quantities is None else form.quantities
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
        has_own_serial=any((form.baud, form.parity, form.stop_bits)),
        quantities=tuple(quantity for quantity in known if quantity in wanted),
    )
