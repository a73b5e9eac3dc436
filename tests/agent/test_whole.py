"""Files that are written whole: after a power cut the one before or the new one is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.whole import write_whole


def test_what_is_renamed_is_on_the_disk_and_then_its_name_is(tmp_path, monkeypatch):
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        done.append(f"rename {path.name} {target.name} {path.read_text(encoding='utf-8')}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write_whole(tmp_path / "kept", "取水")
    assert done == ["sync kept.part", "rename kept.part kept 取水", f"sync {tmp_path.name}"]


def test_a_full_disk_leaves_the_file_before(tmp_path, monkeypatch):
    write_whole(tmp_path / "kept", "before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "kept", "after")
    assert (tmp_path / "kept").read_text(encoding="utf-8") == "before"
