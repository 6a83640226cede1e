# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _config_swap
from ansible_collections.emperor.web.plugins.module_utils._config_swap import (
    Change,
    State,
    Swap,
    look,
    mounted,
    unfinished,
    work_folder,
    write,
)

MINE = (os.geteuid(), os.getegid())


def file(content: str, mode: int = 0o644) -> State:
    return State(content, mode, MINE)


# A mix of them is what no daemon would take, so only these two states are ever to be seen.
OLD = {
    "kept": file("kept\n"),
    "conf.d/changed": file("old\n", 0o600),
    "conf.d/removed": file("old\n"),
    "conf.d/link": State(link="../kept"),
    "conf.d/foreign": file("by hand\n"),
}
NEW = OLD | {"conf.d/changed": file("new\n"), "conf.d/link": file("new\n"), "new/folder/file": file("new\n")}
del NEW["conf.d/removed"]
CHANGES = [
    Change(path, OLD.get(path, State()), NEW.get(path, State()))
    for path in ("conf.d/changed", "conf.d/removed", "conf.d/link", "new/folder/file")
]


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "etc"
    for path, state in OLD.items():
        write(str(folder / path), state)
    return folder


@pytest.fixture(params=[True, False], ids=["at once", "one by one"])
def at_once(request, monkeypatch) -> bool:
    if not request.param:
        monkeypatch.setattr(_config_swap, "mounted", lambda _folder: True)
    return request.param


def state(root: Path) -> dict[str, State]:
    return {path: look(str(root / path)) for path in _config_swap.files_below(str(root))}


@pytest.mark.parametrize("content", ["", "text", "one\r\ntwo\r", "\udcff\udc80 bytes\n"])
def test_a_file_is_found_as_it_was_written(tmp_path, content):
    write(str(tmp_path / "folder/file"), file(content, 0o640))
    assert look(str(tmp_path / "folder/file")) == file(content, 0o640)


def begun(root: Path, changes=CHANGES) -> Swap:
    swap = Swap(str(root), changes)
    swap.begin()
    return swap


def test_a_swap_is_made_and_finished(root, at_once):
    swap = begun(root)
    assert unfinished(str(root)) == CHANGES
    swap.make()
    assert state(root).items() >= NEW.items()
    assert swap.atomic is at_once
    swap.finish()
    assert state(root) == NEW
    assert os.listdir(root.parent) == ["etc"]


def test_a_swap_is_undone(root, at_once):
    swap = begun(root)
    swap.make()
    assert swap.undo()
    swap.finish()
    assert state(root) == OLD
    assert os.listdir(root.parent) == ["etc"]


def test_what_does_not_change_stays_the_same_file(root, at_once):
    """An editor that has it open, or another hard link to it, still means this file."""
    inodes = [os.stat(root / name).st_ino for name in ("kept", "conf.d/foreign")]
    os.chmod(root / "conf.d", 0o711)
    swap = begun(root)
    swap.make()
    swap.finish()
    assert [os.stat(root / name).st_ino for name in ("kept", "conf.d/foreign")] == inodes
    assert stat.S_IMODE(os.stat(root / "conf.d").st_mode) == 0o711
    assert [os.stat(root / name).st_nlink for name in ("kept", "conf.d/foreign")] == [1, 1]


def test_new_folders_can_be_read_whatever_the_umask(root, at_once):
    before = os.umask(0o077)
    try:
        swap = begun(root)
        swap.make()
        swap.finish()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(root / "new").st_mode) == stat.S_IMODE(os.stat(root / "new/folder").st_mode) == 0o755


def test_the_work_folder_is_private(root):
    begun(root).make()
    assert stat.S_IMODE(os.stat(work_folder(str(root))).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(f"{work_folder(str(root))}/journal.json").st_mode) == 0o600


def test_one_file_is_swapped_where_it_is(root):
    inode = os.stat(root).st_ino
    swap = begun(root, CHANGES[:1])
    swap.make()
    swap.finish()
    assert swap.atomic
    assert os.stat(root).st_ino == inode


@pytest.mark.parametrize("undone", [False, True])
def test_what_others_write_meanwhile_is_not_lost(root, monkeypatch, undone):
    swap = begun(root)
    real = _config_swap.exchange

    def late(one, other):
        if not os.path.exists(root / "late"):
            (root / "late").write_text("while the new folder was made\n")
            (root / "fresh").write_text("saved by an editor\n")
            os.rename(root / "fresh", root / "conf.d/foreign")
        real(one, other)

    monkeypatch.setattr(_config_swap, "exchange", late)
    swap.make()
    (root / "later").write_text("while the daemon was asked\n")
    if undone:
        swap.undo()
    swap.finish()
    assert (root / "late").read_text() == "while the new folder was made\n"
    assert (root / "conf.d/foreign").read_text() == "saved by an editor\n"
    assert (root / "later").read_text() == "while the daemon was asked\n"
    assert (root / "conf.d/changed").read_text() == ("old\n" if undone else "new\n")


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EBUSY, errno.EINVAL, errno.ENOSYS])
def test_a_folder_that_cannot_change_places_is_changed_file_by_file(root, monkeypatch, number):
    def refuse(_one, _other):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_config_swap, "exchange", refuse)
    swap = begun(root)
    swap.make()
    assert not swap.atomic
    swap.finish()
    assert state(root) == NEW


def test_another_failure_of_the_exchange_changes_nothing(root, monkeypatch):
    def refuse(_one, _other):
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(_config_swap, "exchange", refuse)
    swap = begun(root)
    with pytest.raises(OSError, match="broken disk"):
        swap.make()
    assert not swap.undo()
    swap.finish()
    assert state(root) == OLD


def test_what_fails_after_the_exchange_is_undone_by_another(root, monkeypatch):
    """An error that would speak against an exchange before it must not start over on the old folder."""

    def refuse(_swap):
        raise OSError(errno.EPERM, "may not be linked")

    monkeypatch.setattr(Swap, "_carry_over", refuse)
    swap = begun(root)
    with pytest.raises(OSError, match="may not be linked"):
        swap.make()
    assert swap.undo()
    swap.finish()
    assert state(root) == OLD


@pytest.fixture
def steps(monkeypatch) -> list[tuple[str, str]]:
    """What is made durable, and what gets its name, in the order in which that happens: the call and the path."""
    done = []

    def recorded(name, call, path):
        def recording(*arguments, **options):
            done.append((name, path(*arguments)))
            return call(*arguments, **options)

        return recording

    monkeypatch.setattr(os, "fsync", recorded("sync", os.fsync, lambda handle: os.readlink(f"/proc/self/fd/{handle}")))
    monkeypatch.setattr(os, "rename", recorded("rename", os.rename, lambda _source, target: target))
    monkeypatch.setattr(
        _config_swap, "exchange", recorded("exchange", _config_swap.exchange, lambda _one, other: str(other))
    )
    return done


def last(steps: list[tuple[str, str]], step: tuple[str, str]) -> int:
    """When something happened for the last time."""
    assert step in steps, f"never happened: {step}"
    return len(steps) - 1 - steps[::-1].index(step)


# Those of them that are files afterwards.
FILES = [change.path for change in CHANGES if change.after]


def test_a_power_failure_finds_the_old_folder_or_all_of_the_new_one(root, steps):
    """What the exchange shows is on the disk before, and the exchange itself before anybody is told of it."""
    work = work_folder(str(root))
    swap = begun(root)
    swap.make()
    assert swap.atomic
    exchanged = last(steps, ("exchange", str(root)))
    # What was being changed, for the run after.
    assert last(steps, ("rename", f"{work}/journal.json")) < last(steps, ("sync", work)) < exchanged
    assert steps.index(("sync", str(root.parent))) < exchanged
    for path in FILES:
        named = last(steps, ("rename", f"{work}/tree/{path}"))
        assert last(steps, ("sync", f"{work}/new/{path}")) < named
        folder = os.path.dirname(f"{work}/tree/{path}")
        while folder != work:
            assert named < last(steps, ("sync", folder)) < exchanged
            folder = os.path.dirname(folder)
    assert exchanged < last(steps, ("sync", str(root.parent)))


def test_a_power_failure_between_two_files_finds_none_of_them_empty(root, steps, monkeypatch):
    monkeypatch.setattr(_config_swap, "mounted", lambda _folder: True)
    swap = begun(root)
    swap.make()
    assert not swap.atomic
    named = [last(steps, ("rename", f"{root}/{path}")) for path in FILES]
    for path in FILES:
        folder, name = os.path.split(f"{root}/{path}")
        assert last(steps, ("sync", f"{folder}/.{name}.emperor-new")) < min(named)
        while folder != str(root.parent):
            assert max(named) < last(steps, ("sync", folder))
            folder = os.path.dirname(folder)


def test_mount_points_are_seen(monkeypatch):
    table = "22 1 0:1 / / rw - ext4 x rw\n23 22 0:2 / /etc/ngi\\040nx/conf.d rw - tmpfs x rw\n"
    monkeypatch.setattr(_config_swap, "read_text", lambda _path: table)
    assert mounted("/etc/ngi nx")
    assert mounted("/etc/ngi nx/conf.d")
    assert not mounted("/etc/ngi nx/conf.d/sub")
    assert not mounted("/etc/ngi")


def killed_at(step: int, work) -> bool:
    """Do some work in a process that ends before its system call number C(step) that changes files; False when none."""
    pid = os.fork()
    if not pid:
        counted = 0

        def count(call):
            def counting(*arguments, **options):
                nonlocal counted
                counted += 1
                if counted == step:
                    os._exit(9)
                return call(*arguments, **options)

            return counting

        for name in ("rename", "unlink", "link", "symlink", "mkdir", "rmdir", "chmod", "fsync"):
            setattr(os, name, count(getattr(os, name)))
        _config_swap.exchange = count(_config_swap.exchange)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9)
    return code == 9


def visible(found: dict[str, State]) -> dict[str, State]:
    """Without the names that no daemon includes."""
    return {path: state for path, state in found.items() if ".emperor-" not in path}


def killed_runs(tmp_path: Path, *, undone: bool = False) -> Iterator[Path]:
    """A folder for each moment at which a run can be killed, the last one of a run that was not."""
    step, alive = 0, True
    while alive:
        step += 1
        root = tmp_path / str(step) / "etc"
        for path, it in OLD.items():
            write(str(root / path), it)

        def work(root=root):
            swap = Swap(str(root), CHANGES)
            swap.begin()
            swap.make()
            if undone:
                swap.undo()
            swap.finish()

        alive = killed_at(step, work)
        yield root
    assert step > 20


def put_back(root: Path) -> None:
    """What the next run does."""
    found = state(root)
    back = [change.reversed() for change in CHANGES if found.get(change.path, State()) == change.after]
    Swap(str(root), back).make()
    Swap(str(root), CHANGES).finish()
    assert state(root) == OLD
    assert os.listdir(root.parent) == ["etc"]


@pytest.mark.parametrize("undone", [False, True])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_files(tmp_path, undone):
    seen = set()
    for root in killed_runs(tmp_path, undone=undone):
        found = visible(state(root))
        assert found in (OLD, NEW)
        seen.add("new" if found == NEW else "old")
        put_back(root)
    assert seen == {"old", "new"}


def test_a_kill_between_two_files_is_put_right(tmp_path, monkeypatch):
    monkeypatch.setattr(_config_swap, "mounted", lambda _folder: True)
    mixed = 0
    for root in killed_runs(tmp_path):
        mixed += visible(state(root)) not in (OLD, NEW)
        put_back(root)
    assert mixed
