"""Profiles: what a model of meter is, from YAML to the entries that decode uses.

Strategy: the keys of the agent are checked here; every other key of an item goes to the protocol's driver, which checks
its own. A profile is read when a meter names it: the site's directory first, then what the package carries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agent.entries import Entry, Factor, FlagTest, Mark, Part
from agent.form.judge import accepted, judged, keys_of
from agent.form.nodes import BROKEN, Bare, Document, Steps, is_name, listed, read_file, read_text, shown
from agent.form.problems import FormErrors, Problem, near
from agent.profile_form import ItemForm, MarkForm, ProfileForm, TestForm, UnconfirmedForm
from agent.quantities import STATUS, is_total_or_flow
from agent.settings import FrameTest, Profile, SerialSettings
from drivers.contract import Driver, Item, SpecError

__all__ = ["Entry", "Factor", "FlagTest", "FrameTest", "Library", "Part", "Profile", "SerialSettings", "read_profile"]

Drivers = Mapping[str, Callable[..., Driver]]
_SUFFIX = ".yaml"
_VERSION_DIGITS = 8


class Library:
    """Where profiles are found: given texts first, then each directory in order, then those the package carries."""

    def __init__(
        self, *, drivers: Drivers, directories: Sequence[Path] = (), texts: Mapping[str, str] | None = None
    ) -> None:
        self._drivers = drivers
        self._directories: tuple[Traversable, ...] = (*directories, resources.files("agent") / "data" / "profiles")
        self._texts = dict(texts or {})

    def names(self) -> tuple[str, ...]:
        """All profiles there are, sorted; a site's file hides the packaged one of the same name."""
        found = set(self._texts)
        for directory in self._directories:
            found |= {name.removesuffix(_SUFFIX) for name in listed(directory) if name.endswith(_SUFFIX)}
        return tuple(sorted(found))

    def has(self, name: str) -> bool:
        """Whether there is a profile of that name."""
        return self._file(name) is not None or name in self._texts

    def load(self, name: str) -> Profile:
        """That profile. Raises FormErrors when it is missing or wrong."""
        if name in self._texts:
            return read_profile(read_text(self._texts[name], f"{name}{_SUFFIX}"), name, self._drivers)
        file = self._file(name)
        if file is None:
            arguments = {"value": shown(name), "allowed": " ".join(self.names()), **near(name, self.names())}
            raise FormErrors([Problem(file=name, line=1, column=1, path="", code="profile", arguments=arguments)])
        return read_profile(read_file(file, str(file)), name, self._drivers)

    def _file(self, name: str) -> Traversable | None:
        if not is_name(name):
            return None
        files = (directory / f"{name}{_SUFFIX}" for directory in self._directories)
        return next((file for file in files if file.is_file()), None)


def read_profile(document: Document, name: str, drivers: Drivers) -> Profile:
    """The profile in a read file that is called `name`. Raises FormErrors with everything that is wrong."""
    form = judged(document, (), ProfileForm)
    declared = document.root.entries().get("profile")
    if declared is not None and declared.value != name and isinstance(declared.value, str):
        document.complain(("profile",), "profile-name", value=shown(declared.value), allowed=name)
    compiler = _Compiler(document, _driver(document, drivers))
    entries, marks = compiler.entries(), compiler.marks()
    _check_tests(document)
    _check_unconfirmed(document)
    if form is None or document.problems:
        raise FormErrors(document.problems)
    return Profile(
        name=name,
        title=MappingProxyType(form.title.model_dump()),
        source=form.source,
        tested=form.tested,
        unconfirmed=MappingProxyType({} if form.unconfirmed is None else _note(form.unconfirmed)),
        protocol=form.protocol,
        line=SerialSettings(baud=form.line.baud, parity=form.line.parity, stop_bits=form.line.stop_bits),
        silence_ms=form.line.silence,
        limits=MappingProxyType(form.limits),
        entries=entries,
        tests=tuple(_frame_test(test) for test in form.tests),
        version=hashlib.sha256(document.text.encode()).hexdigest()[:_VERSION_DIGITS],
        text=document.text,
        doubtful=() if form.unconfirmed is None else _doubtful(form.unconfirmed, entries),
        identify=marks,
    )


def _note(form: UnconfirmedForm) -> dict[str, str]:
    return {"zh": form.zh, "en": form.en}


def _doubtful(form: UnconfirmedForm, entries: Sequence[Entry]) -> tuple[str, ...]:
    """The quantities named; else the totals and flows; else every number there is."""
    numbers = [entry.quantity for entry in entries if entry.quantity != STATUS]
    return tuple(form.quantities or [name for name in numbers if is_total_or_flow(name)] or numbers)


def _driver(document: Document, drivers: Drivers) -> Driver | None:
    """The driver of the profile's protocol, None after complaining."""
    node = document.root.entries().get("protocol")
    if node is None or not isinstance(node.value, str):
        return None
    if node.value not in drivers:
        document.complain_reference(("protocol",), "protocol", list(drivers))
        return None
    return drivers[node.value]()


def _check_tests(document: Document) -> None:
    """What concerns a test as a whole: its frames, what it expects, where a captured one is from."""
    items = document.root.items("items")
    quantities = {shown(item.entries()["quantity"].value) for item in items if "quantity" in item.entries()}
    for index, node in enumerate(document.root.items("tests")):
        given = node.entries()
        path: Steps = ("tests", index)
        pair = ("request" in given, "reply" in given)
        if ("exchanges" in given) == any(pair) or pair not in {(True, True), (False, False)}:
            document.complain(path, "test-frames")
        if "note" not in given and "origin" in given and given["origin"].value == "captured":
            document.complain(path, "test-note")
        for quantity in given["expect"].entries() if "expect" in given else ():
            if quantity not in quantities:
                document.complain_key((*path, "expect", quantity), "test-quantity", value=shown(quantity))


def _check_unconfirmed(document: Document) -> None:
    """What is doubtful must be there."""
    named = document.root.at(("unconfirmed", "quantities"))[0].data()
    items = document.root.items("items")
    quantities = {shown(item.entries()["quantity"].value) for item in items if "quantity" in item.entries()}
    for index, quantity in enumerate(named if isinstance(named, list) else ()):
        if quantity not in quantities:
            document.complain(("unconfirmed", "quantities", index), "test-quantity", value=shown(quantity))


def _frame_test(test: TestForm) -> FrameTest:
    pairs = [(each.request, each.reply) for each in test.exchanges]
    if test.request is not None and test.reply is not None:
        pairs = [(test.request, test.reply)]
    expect = MappingProxyType(dict(test.expect))
    return FrameTest(exchanges=tuple(pairs), expect=expect, origin=test.origin, note=test.note)


class _Compiler:
    """Turns the items of a profile into entries, complaining where an item makes no sense."""

    def __init__(self, document: Document, driver: Driver | None) -> None:
        self._document = document
        self._driver = driver
        self._seen: set[str] = set()

    def entries(self) -> tuple[Entry, ...]:
        """The entries of all items that stand."""
        found = []
        for index, node in enumerate(self._document.root.items("items")):
            path: Steps = ("items", index)
            if not node.entries():
                continue
            self._check_item(path, set(node.entries()))
            form = accepted(self._document, path, ItemForm)
            if form is not None:
                found.append(self._entry(path, form))
        return tuple(found)

    def marks(self) -> tuple[Mark, ...]:
        """What the model is known by."""
        found = []
        for index, node in enumerate(self._document.root.items("identify")):
            path: Steps = ("identify", index)
            if len({"among", "range", "own_address"} & set(node.entries())) != 1:
                self._document.complain(path, "mark-test")
            form = accepted(self._document, path, MarkForm)
            item = None if form is None else self._item(path, form.spec(), {})
            if form is not None and item is not None:
                low, high = self._limits(path, form.range)
                among = frozenset(form.among)
                found.append(Mark(item=item, among=among, low=low, high=high, own_address=form.own_address))
        return tuple(found)

    def _check_item(self, path: Steps, keys: set[str]) -> None:
        """What concerns an item as a whole."""
        complain = self._document.complain
        quantity = str(self._document.root.at((*path, "quantity"))[0].value) if "quantity" in keys else ""
        if quantity in self._seen:
            complain((*path, "quantity"), "quantity-twice", value=quantity)
        self._seen.add(quantity)
        if quantity == STATUS and "flags" not in keys:
            complain(path, "status-flags")
        arithmetic = sorted({"sum", "times", "scale", "offset", "range", "digits"} & keys)
        if quantity == STATUS and arithmetic:
            self._document.complain_key((*path, arithmetic[0]), "status-number", key=arithmetic[0])
        if quantity != STATUS and "flags" in keys:
            self._document.complain_key((*path, "flags"), "flags-elsewhere")
        for index, node in enumerate(self._document.root.at(path)[0].items("flags")):
            if len({"bit", "equals", "not_equals"} & set(node.entries())) != 1:
                complain((*path, "flags", index), "flag-test")
        for index, node in enumerate(self._document.root.at(path)[0].items("times")):
            if {"codes", "power_of_ten"} <= set(node.entries()):
                complain((*path, "times", index), "factor-kind")

    def _entry(self, path: Steps, form: ItemForm) -> Entry:
        base = form.spec()
        low, high = self._limits(path, form.range)
        return Entry(
            quantity=form.quantity,
            parts=tuple(self._parts(path, base, form)),
            factors=tuple(self._factors(path, base, form)),
            flags=tuple(self._flags(path, base, form)),
            scale=form.scale,
            offset=form.offset,
            low=low,
            high=high,
            digits=form.digits,
        )

    def _limits(
        self, path: Steps, limits: tuple[Decimal | None, Decimal | None] | None
    ) -> tuple[Decimal | None, Decimal | None]:
        low, high = limits or (None, None)
        if low is not None and high is not None and low >= high:
            self._document.complain((*path, "range"), "range-order", low=str(low), high=str(high))
        return low, high

    def _parts(self, path: Steps, base: Mapping[str, Any], form: ItemForm) -> Iterable[Part]:
        if form.quantity == STATUS:
            return
        if not form.sum:
            item = self._item(path, base, {})
            if item is not None:
                yield Part(item=item)
        for index, part in enumerate(form.sum):
            item = self._item((*path, "sum", index), base, part.spec())
            if item is not None:
                yield Part(item=item, scale=part.scale)

    def _factors(self, path: Steps, base: Mapping[str, Any], form: ItemForm) -> Iterable[Factor]:
        for index, factor in enumerate(form.times):
            item = self._item((*path, "times", index), base, factor.spec())
            codes = None if factor.codes is None else MappingProxyType(dict(factor.codes))
            if item is not None:
                yield Factor(item=item, codes=codes, power_of_ten=factor.power_of_ten)

    def _flags(self, path: Steps, base: Mapping[str, Any], form: ItemForm) -> Iterable[FlagTest]:
        for index, test in enumerate(form.flags):
            item = self._item((*path, "flags", index), base, test.spec())
            if item is not None:
                yield FlagTest(item=item, flag=test.flag, bit=test.bit, equals=test.equals, not_equals=test.not_equals)

    def _item(self, path: Steps, base: Mapping[str, Any], own: Mapping[str, Any]) -> Item | None:
        """The driver's item; None after complaining at the key that is wrong, in the part or in what it inherits."""
        spec = {**base, **own}
        unusable = {key: value for key, value in spec.items() if isinstance(value, Bare) or value is BROKEN}
        for key, value in unusable.items():
            if isinstance(value, Bare):
                self._document.complain((*self._owner(path, own, key), key), "bare-value", value=value.text)
        if unusable or self._driver is None:
            return None
        try:
            return self._driver.item(spec)
        except SpecError as error:
            arguments = dict(error.arguments)
            if "allowed" in arguments:
                known = [*arguments["allowed"].split(), *(keys_of(ItemForm) if error.key in spec else ())]
                arguments |= near(arguments.get("value", ""), known)
            where = (*self._owner(path, own, error.key), error.key)
            complain = self._document.complain_key if error.code.endswith("-key") else self._document.complain
            complain(where, error.code, key=error.key, **arguments)
            return None

    def _owner(self, path: Steps, own: Mapping[str, Any], key: str) -> Steps:
        """Where `key` was written: in the part itself, or in the item that it inherits from."""
        item = path[:2]
        return path if key in own or key not in self._document.root.at(item)[0].entries() else item
