"""A file of simulated meters, from YAML to lines that can be started: every mistake at once, at its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agent.form.judge import accepted, judged
from agent.form.nodes import Document, Node, Steps, is_name, read_file
from agent.form.problems import FormErrors, Problem, near
from agent.profiles import Library
from agent.settings import Profile
from drivers.contract import SpecError
from drivers.registry import DRIVERS
from simulators.meters.bus import SimulatedLine
from simulators.meters.image import MeterImage
from simulators.meters.inverse import CannotShowError
from simulators.meters.line_settings import SimulatedDtu, SimulatedLineSettings
from simulators.meters.meter import SimulatedMeter
from simulators.meters.record import Observer
from simulators.meters.station_form import (
    SimulatedDtuForm,
    SimulatedLineForm,
    SimulatedMeterForm,
    SimulatedStationForm,
)
from simulators.mischief import CannotMisbehaveError, Trouble

PROFILES = "profiles"  # the site's own lie in this directory beside the file, as beside agent.yaml
_MEDIA = ("pty", "tcp", "dial_in")
_ADAPTER_KEYS = ("usb_timer", "echo", "strict")
_SERIAL_KEYS = ("baud", "parity", "stop_bits", *_ADAPTER_KEYS)


def load(path: Path, *, observers: Sequence[Observer] = ()) -> dict[str, SimulatedLine]:
    """The lines of the file `path`, not yet started. Profiles come from `profiles/` beside it and from the package.

    Raises FormErrors with everything that is wrong in the file and in the profiles it names.
    """
    document = read_file(path, str(path))
    return _Loader(document, Library(drivers=DRIVERS, directories=(path.parent / PROFILES,))).lines(path, observers)


class _Loader:
    """One reading of one file."""

    def __init__(self, document: Document, library: Library) -> None:
        self._document = document
        self._library = library
        self._profiles: dict[str, Profile | None] = {}
        self._forms: dict[str, SimulatedLineForm] = {}
        self._others: list[Problem] = []  # in the profiles' files

    def lines(self, path: Path, observers: Sequence[Observer]) -> dict[str, SimulatedLine]:
        """The lines with their meters. Raises FormErrors."""
        form = judged(self._document, (), SimulatedStationForm)
        lines = self._lines(path.parent)
        meters: dict[str, list[SimulatedMeter]] = {name: [] for name in lines}
        for name in self._section("meters"):
            self._add_meter(("meters", name), lines, meters)
        if form is None or self._document.problems or self._others:
            raise FormErrors([*self._document.problems, *self._others])
        return {
            name: SimulatedLine(_as_its_meters(line, meters[name]), meters[name], observers=observers)
            for name, line in lines.items()
        }

    def _section(self, name: str) -> Mapping[str, Node]:
        node = self._document.root.entries().get(name)
        return {} if node is None else node.entries()

    def _lines(self, directory: Path) -> dict[str, SimulatedLineSettings]:
        """The lines that stand, after noting what does not go together."""
        found: dict[str, SimulatedLineSettings] = {}
        taken: dict[object, str] = {}
        for name, node in self._section("lines").items():
            path: Steps = ("lines", name)
            self._check_line(path, set(node.entries()))
            form = accepted(self._document, path, SimulatedLineForm)
            if form is None or sum(getattr(form, key) is not None for key in _MEDIA) != 1:
                continue
            line = _line_settings(name, form, directory)
            place = line.pty or line.tcp
            if place is not None and place in taken and (line.tcp is None or line.tcp[1]):
                key = "pty" if line.tcp is None else "tcp"
                self._document.complain((*path, key), "port-taken", value=str(form.pty or form.tcp), other=taken[place])
            taken.setdefault(place, name)
            found[name], self._forms[name] = line, form
        return found

    def _check_line(self, path: Steps, keys: set[str]) -> None:
        """Keys that do not go together."""
        media = [key for key in _MEDIA if key in keys]
        if len(media) > 1:
            self._document.complain_key((*path, media[1]), "sim-pty-and-tcp")
        elif keys and not media:
            self._document.complain(path, "sim-pty-or-tcp")
        for key in _SERIAL_KEYS if media == ["tcp"] else _ADAPTER_KEYS if media == ["dial_in"] else ():
            if key in keys:
                self._document.complain_key((*path, key), "serial-on-tcp", key=key)
        if media in (["pty"], ["dial_in"]) and "max_connections" in keys:
            self._document.complain_key((*path, "max_connections"), "sim-tcp-on-pty", key="max_connections")
        elif media == ["pty"] and "framing" in keys and self._document.root.at((*path, "framing"))[0].value == "tcp":
            self._document.complain((*path, "framing"), "framing-on-port")

    def _add_meter(
        self, path: Steps, lines: Mapping[str, SimulatedLineSettings], meters: dict[str, list[SimulatedMeter]]
    ) -> None:
        """Adds the meter at `path` to its line, or notes why it cannot be."""
        self._check_line_name(path)
        profile = self._profile((*path, "profile"))
        form = accepted(self._document, path, SimulatedMeterForm)
        if profile is None or form is None:
            return
        self._check_address(path, form, profile, lines)
        if self._is_possible(path, form, profile) and form.line in lines:
            meters[form.line].append(_meter(str(path[-1]), form, profile, self._forms[form.line]))

    def _check_line_name(self, path: Steps) -> None:
        names = list(self._section("lines"))
        value = self._document.root.at((*path, "line"))[0].value
        if isinstance(value, str) and is_name(value) and value not in names:
            self._document.complain_reference((*path, "line"), "line", names)

    def _profile(self, path: Steps) -> Profile | None:
        """The profile named at `path`; None after noting what is wrong with it."""
        node, depth = self._document.root.at(path)
        if depth < len(path) or not isinstance(node.value, str) or not is_name(node.value):
            return None  # the form complains
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

    def _check_address(
        self, path: Steps, form: SimulatedMeterForm, profile: Profile, lines: Mapping[str, SimulatedLineSettings]
    ) -> None:
        """Asks the protocol whether there can be such an address."""
        framing = lines[form.line].framing if form.line in lines else "rtu"
        try:
            DRIVERS[profile.protocol](framing=framing).plan(form.address, (), {})
        except SpecError as error:
            self._document.complain((*path, "address"), error.code, **{"key": error.key, **error.arguments})

    def _is_possible(self, path: Steps, form: SimulatedMeterForm, profile: Profile) -> bool:
        """Whether the meter can show and do what it is told, one thing after the other."""
        before = len(self._document.problems)
        known = [entry.quantity for entry in profile.entries]
        for quantity, value in form.values.items():
            if quantity not in known:
                where = (*path, "values", quantity)
                arguments = {"value": quantity, "allowed": " ".join(known), **near(quantity, known)}
                self._document.complain_key(where, "meter-quantity", **arguments)
                continue
            try:
                MeterImage(profile.entries, {quantity: value}, preset=form.registers)
            except CannotShowError as error:
                self._document.complain((*path, "values", quantity), error.code, **error.arguments)
        image = MeterImage(profile.entries, preset=form.registers)
        for place, mischief in enumerate(form.mischief):
            try:
                Trouble([mischief], image)
            except CannotMisbehaveError as error:
                self._document.complain((*path, "mischief", place), error.code, **error.arguments)
        return len(self._document.problems) == before


def _line_settings(name: str, form: SimulatedLineForm, directory: Path) -> SimulatedLineSettings:
    """The line; how it is spoken to comes from its meters."""
    return SimulatedLineSettings(
        name=name,
        pty=None if form.pty is None else directory / form.pty,
        tcp=None if form.tcp is None else (form.tcp.host, form.tcp.port),
        dial_in=None if form.dial_in is None else _dtu(form.dial_in),
        framing=form.framing or "",
        latency_s=form.latency / 1000,
        strict=form.strict,
        echo=form.echo,
        usb_timer_s=None if form.usb_timer is None else form.usb_timer / 1000,
        max_connections=form.max_connections,
    )


def _dtu(form: SimulatedDtuForm) -> SimulatedDtu:
    return SimulatedDtu(
        server=(form.server.host, form.server.port),
        registration=b"" if form.registration is None else form.registration.packet,
        heartbeat=b"" if form.heartbeat is None else form.heartbeat.packet,
        every_s=form.every / 1000,
        redial_s=form.redial / 1000,
        air_s=form.air / 1000,
        drop_s=None if form.drop is None else form.drop / 1000,
        behaviour=frozenset(form.behaviour),
    )


def _as_its_meters(line: SimulatedLineSettings, meters: Sequence[SimulatedMeter]) -> SimulatedLineSettings:
    """The line with the first meter's characters, in which it counts what no meter answers."""
    if not meters:
        return line
    first = meters[0]
    assert first.baud is not None
    assert first.parity is not None
    assert first.stop_bits is not None
    return replace(line, baud=first.baud, parity=first.parity, stop_bits=first.stop_bits)


def _meter(name: str, form: SimulatedMeterForm, profile: Profile, line: SimulatedLineForm) -> SimulatedMeter:
    """The meter; how it is spoken to is its own, else the line's, else the profile's, as in agent.yaml."""
    return SimulatedMeter(
        name,
        profile=profile,
        address=form.address,
        values=form.values,
        mischief=form.mischief,
        preset=form.registers,
        gaps=form.gaps == "zero",
        latency_s=None if form.latency is None else form.latency / 1000,
        baud=form.baud or line.baud or profile.line.baud,
        parity=form.parity or line.parity or profile.line.parity,
        stop_bits=form.stop_bits or line.stop_bits or profile.line.stop_bits,
    )
