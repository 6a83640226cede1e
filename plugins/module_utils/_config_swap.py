# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Replace a set of files below a folder, in one step where the file system can do that, and take it back.

A complete new folder is made beside the old one, of hard links but for the files that change, and the two change
places in one system call. Where that cannot be, each file is renamed into place. In both ways all that needs room on
the disk is done before, so that neither the swap nor its undoing can fail for want of it.

The work folder, C(/etc/.nginx.emperor) for C(/etc/nginx), is there only meanwhile. Its journal tells a later run what
one that was killed has put in place.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

from ansible_collections.emperor.web.plugins.module_utils._files import read_text, write_atomic

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# A mount point, the lower layer of an overlay, a file system without the call or without hard links.
_NO_EXCHANGE = {
    errno.EBUSY,
    errno.EINVAL,
    errno.EMLINK,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EXDEV,
}


@dataclass(frozen=True)
class State:
    """What is at a path: a file, a link, or neither."""

    content: str | None = None
    mode: int = 0
    owner: tuple[int, int] = (0, 0)
    link: str | None = None

    def __bool__(self) -> bool:
        return self.content is not None or self.link is not None


@dataclass(frozen=True)
class Change:
    """One path below the folder, as it is and as it is to be."""

    path: str
    before: State
    after: State

    def reversed(self) -> Change:
        return Change(self.path, self.after, self.before)


def look(path: str) -> State | None:
    """What is at a path now; None where it is something else than a file or a link."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return State()
    if stat.S_ISLNK(status.st_mode):
        return State(link=os.readlink(path))
    if not stat.S_ISREG(status.st_mode):
        return None
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as handle:
        return State(handle.read(), stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid))


def write(path: str, state: State) -> None:
    """Make a path that nobody reads yet what it is to be."""
    remove(path)
    if not state:
        return
    make_folder(os.path.dirname(path))
    if state.link is not None:
        os.symlink(state.link, path)
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as handle:
        handle.write(state.content or "")
        handle.flush()
        if state.owner != (os.geteuid(), os.getegid()):
            os.fchown(descriptor, *state.owner)
        os.fchmod(descriptor, state.mode)
        os.fsync(descriptor)


def make_folder(path: str) -> None:
    """Have a folder that everybody may read, whatever this process' umask is."""
    if not os.path.isdir(path):
        make_folder(os.path.dirname(path))
        os.mkdir(path)
        os.chmod(path, 0o755)


def remove(path: str) -> None:
    """Have no file and no link at a path; where none is, that can be said of a read-only folder too."""
    if os.path.lexists(path):
        os.unlink(path)


def exchange(one: str, other: str) -> None:
    """Have two paths change places in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, "the C library has no renameat2")
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one, None, other)


def mounted(folder: str) -> bool:
    """Whether a folder is a mount point, or has one below it, which would not move with it."""
    points = [line.split()[4] for line in (read_text("/proc/self/mountinfo") or "").splitlines()]
    names = [re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), point) for point in points]
    return any(name == folder or name.startswith(f"{folder}/") for name in names)


def mirror(source: str, target: str, leave_out: set[str]) -> None:
    """Copy a folder with hard links in place of files; paths to leave out are relative to it."""
    copy_folder(source, target)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.name in leave_out:
                continue
            path = os.path.join(target, entry.name)
            if entry.is_dir(follow_symlinks=False):
                inside = f"{entry.name}/"
                mirror(entry.path, path, {name[len(inside) :] for name in leave_out if name.startswith(inside)})
            else:
                os.link(entry.path, path, follow_symlinks=False)


def files_below(folder: str) -> dict[str, int]:
    """The files and links below a folder, each with its inode."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in [*names, *folders]:
            path = os.path.join(parent, name)
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode):
                found[os.path.relpath(path, folder)] = status.st_ino
    return found


def copy_folder(source: str, target: str) -> None:
    """A folder with the owner, mode and attributes of another."""
    os.mkdir(target)
    status = os.stat(source)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(target, status.st_uid, status.st_gid)
    shutil.copystat(source, target)


def sync(folder: str) -> None:
    """Have the names in a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Swap:
    """Puts changes in place below a folder; as long as it is not finished, undo takes them back."""

    def __init__(self, root: str, changes: list[Change]) -> None:
        self.root = root
        self.changes = changes
        self.work = work_folder(root)
        self.atomic = False
        self._tree = os.path.join(self.work, "tree")
        self._linked: dict[str, int] = {}
        self._made: list[Callable[[], None]] = []

    def begin(self) -> None:
        """Write down what is going to change."""
        clear(self.root)
        make_folder(self.root)
        os.mkdir(self.work, mode=0o700)
        journal = json.dumps([asdict(change) for change in self.changes])
        write_atomic(_journal(self.root), journal, mode=0o600)
        sync(self.work)
        sync(os.path.dirname(self.work))

    def make(self) -> None:
        """Put the changes in place. What fails before the first of them is in place leaves nothing to undo."""
        shutil.rmtree(self._tree, ignore_errors=True)
        if len(self.changes) > 1 and not mounted(self.root):
            try:
                self._make_at_once()
                return
            except OSError as error:
                if self._made or error.errno not in _NO_EXCHANGE:
                    raise
                shutil.rmtree(self._tree, ignore_errors=True)
        self._make_one_by_one()

    def undo(self) -> bool:
        """Put back what was there; True where anything had been put in place."""
        if not self._made:
            return False
        while self._made:
            self._made[-1]()
            self._made.pop()
        return True

    def finish(self) -> None:
        """Forget what was there before."""
        for change in self.changes:
            for kind in ("new", "old"):
                remove(_beside(self.root, change.path, kind))
        clear(self.root)

    def _make_at_once(self) -> None:
        written = os.path.join(self.work, "new")
        shutil.rmtree(written, ignore_errors=True)
        present = [change.path for change in self.changes if change.after]
        for change in self.changes:
            write(os.path.join(written, change.path), change.after)
        mirror(self.root, self._tree, {change.path for change in self.changes})
        self._linked = files_below(self._tree)
        for path in present:
            make_folder(os.path.dirname(os.path.join(self._tree, path)))
            os.rename(os.path.join(written, path), os.path.join(self._tree, path))
        for folder, _folders, _names in os.walk(self._tree):
            sync(folder)
        exchange(self._tree, self.root)
        self._made.append(self._exchange_back)
        self.atomic = True
        sync(os.path.dirname(self.root))
        self._carry_over()

    def _exchange_back(self) -> None:
        exchange(self._tree, self.root)
        with contextlib.suppress(OSError):  # a full disk; what others did meanwhile is not worth staying broken
            self._carry_over()

    def _carry_over(self) -> None:
        """Take along what others have written into the folder that has just moved away."""
        changed = {change.path for change in self.changes}
        for path, inode in files_below(self._tree).items():
            if path in changed or self._linked.get(path) == inode:
                continue
            new = _beside(self.root, path, "new")
            make_folder(os.path.dirname(new))
            remove(new)
            os.link(os.path.join(self._tree, path), new, follow_symlinks=False)
            os.rename(new, os.path.join(self.root, path))

    def _make_one_by_one(self) -> None:
        for change in self.changes:
            path = os.path.join(self.root, change.path)
            for kind in ("new", "old"):
                remove(_beside(self.root, change.path, kind))
            if change.after:
                write(_beside(self.root, change.path, "new"), change.after)
            if os.path.lexists(path):
                os.link(path, _beside(self.root, change.path, "old"), follow_symlinks=False)
        for change in self.changes:
            path = os.path.join(self.root, change.path)
            if change.after:
                os.rename(_beside(self.root, change.path, "new"), path)
            else:
                remove(path)
            self._made.append(partial(self._put_back, change))
        for folder in {folder for change in self.changes for folder in _above(self.root, change.path)}:
            if os.path.isdir(folder):
                sync(folder)
        self.atomic = len(self.changes) == 1

    def _put_back(self, change: Change) -> None:
        path = os.path.join(self.root, change.path)
        if os.path.lexists(_beside(self.root, change.path, "old")):
            os.rename(_beside(self.root, change.path, "old"), path)
        else:
            remove(path)


def _above(root: str, path: str) -> list[str]:
    """The folder of a path and those above it, up to the root; each of them may be new."""
    parts = path.split("/")[:-1]
    return [os.path.join(root, *parts[:count]) for count in range(len(parts) + 1)]


def _beside(root: str, path: str, kind: str) -> str:
    """A name in the same folder that no daemon includes."""
    folder, name = os.path.split(os.path.join(root, path))
    return os.path.join(folder, f".{name}.emperor-{kind}")


def work_folder(root: str) -> str:
    """Where the new folder is made, on the same file system as the old one."""
    folder, name = os.path.split(root)
    return os.path.join(folder, f".{name}.emperor")


def _journal(root: str) -> str:
    return os.path.join(work_folder(root), "journal.json")


def unfinished(root: str) -> list[Change]:
    """What a run that was killed was about to change, or had changed."""
    try:
        entries = json.loads(read_text(_journal(root)) or "[]")
    except ValueError:
        return []
    return [Change(entry["path"], _state(entry["before"]), _state(entry["after"])) for entry in entries]


def _state(entry: dict) -> State:
    return State(entry["content"], entry["mode"], tuple(entry["owner"]), entry["link"])


def clear(root: str) -> None:
    """Remove the work folder; the journal goes first, as what it tells is not true without the rest."""
    remove(_journal(root))
    shutil.rmtree(work_folder(root), ignore_errors=True)
