"""Loads the configuration in a short-lived process of its own, so that the daemon never carries what checks it.

The models that judge YAML take 14 MB of memory that a running station never needs again, and loading them beside the
daemon's own imports lets both happen at once. What comes back is plain frozen data.
"""

from __future__ import annotations

import copyreg
import os
import pickle
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # the process that judges starts before the rest is loaded: the first reading waits for it
    from agent.form.problems import Problem
    from agent.settings import Config

DEFAULT_CONFIG = Path("/etc/qushui/agent.yaml")
_LONGEST_S = 60.0  # a large configuration on a small board takes some seconds
_CHILD = """
import gc, os, sys
gc.disable()  # what lives for a third of a second has no garbage worth looking for
from pathlib import Path
from agent.loading import judge_for
judge_for(Path(sys.argv[1]))
sys.stdout.flush()
os._exit(0)  # taking everything down piece by piece takes a twentieth of its time, and somebody waits for its end
"""
_WITHOUT_PLUGINS = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}  # else it looks for some in every package there is


class Loaded(NamedTuple):
    """What became of a configuration file.

    `config` is what to run: the file's, or the copy's when the file is wrong; None when there is neither. `problems`
    are the file's. `copy` is what to keep as the last good one; empty when the file is wrong.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    copy: str


class Loading:
    """A configuration on its way: begun when made, waited for by `result`."""

    def __init__(self, path: Path) -> None:
        import subprocess  # noqa: PLC0415 - the child needs none

        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
            [sys.executable, "-c", _CHILD, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, **_WITHOUT_PLUGINS},
        )

    def result(self) -> Loaded:
        """Waits. Raises TimeoutError, RuntimeError when the process broke."""
        from subprocess import TimeoutExpired  # noqa: PLC0415 - see above

        try:
            data, _ = self._process.communicate(timeout=_LONGEST_S)
        except TimeoutExpired as error:
            self._process.kill()
            self._process.communicate()
            raise TimeoutError(f"the configuration was not read in {_LONGEST_S:.0f} s") from error
        if self._process.returncode != 0:
            raise RuntimeError(f"reading the configuration ended with status {self._process.returncode}")
        loaded: Loaded = pickle.loads(data)  # noqa: S301 - written by our own child
        return loaded


def copy_place(path: Path) -> Path:
    """Where the last good copy of the file `path` lies: in the service's state directory, else beside the file.

    Not beside the database: only the configuration knows where that is, and it may be the one that is broken.
    """
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return (Path(state) if state else path.parent) / f"{path.name}.last-good"


def judge_for(path: Path) -> None:
    """The child's whole work: judges the file at `path` and writes a pickled `Loaded` to stdout."""
    from agent import config as configuration  # noqa: PLC0415 - only the child may carry it
    from agent.form.problems import FormErrors  # noqa: PLC0415
    from agent.uplinks.registry import settings_models  # noqa: PLC0415
    from drivers.registry import DRIVERS  # noqa: PLC0415

    copyreg.pickle(MappingProxyType, _unproxied)
    models = settings_models()
    try:
        config = configuration.load(path, drivers=DRIVERS, uplink_settings=models)
        loaded = Loaded(config=config, problems=(), copy=configuration.copy_of(config))
    except FormErrors as errors:
        try:
            text = copy_place(path).read_text(encoding="utf-8")
            last_good = configuration.load_copy(text, path, drivers=DRIVERS, uplink_settings=models)
            loaded = Loaded(config=last_good, problems=errors.problems, copy="")
        except (OSError, ValueError, FormErrors):
            loaded = Loaded(config=None, problems=errors.problems, copy="")
    sys.stdout.buffer.write(pickle.dumps(loaded))


def _unproxied(proxy: MappingProxyType[Any, Any]) -> tuple[Any, ...]:
    """How a read-only mapping is pickled: as what makes it again (its class itself has no name to find it by)."""
    return _proxied, (dict(proxy),)


def _proxied(content: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(content)
