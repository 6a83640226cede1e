# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Files and links that are either the old one or the new one, whatever happens in between."""

from __future__ import annotations

import errno
import os
import stat
import tempfile

# Less than this does not carry a switch, which is some small files and links.
_LEAST_ROOM = 16 << 10
_LEAST_INODES = 4

MAKE_ROOM = "Make room there (df -h and df -i show how much there is), then run this again"


def read_text(path: str) -> str | None:
    """The content of a file, or None where there is no file."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as handle:
            return handle.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def has_mode(path: str, mode: int) -> bool:
    """Whether there is a file with exactly these permissions."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode) == mode
    except (FileNotFoundError, NotADirectoryError):
        return False


def write_atomic(path: str, text: str, *, mode: int = 0o644, uid: int = -1, gid: int = -1) -> None:
    """Write a file under another name, make it durable, then rename it over the target.

    The temporary name starts with a dot and ends with C(.tmp), so that no daemon's C(*.conf) or C(*.ini)
    picks it up half written.
    """
    folder, name = os.path.split(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as handle:
            handle.write(text)
            handle.flush()
            if uid != -1 or gid != -1:
                os.fchown(handle.fileno(), uid, gid)
            os.fchmod(handle.fileno(), mode)
            os.fsync(handle.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def install(path: str, text: str, *, mode: int, owner: int = 0) -> None:
    """Write a file of root, or of the user of a test, and make its folder where that is missing."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        ensure_directory(folder, mode=0o755, uid=owner, gid=owner)
    write_atomic(path, text, mode=mode, uid=owner, gid=owner)


def replace_link(path: str, target: str) -> None:
    """Point a symbolic link at a target with one rename, so that no moment exists without a link."""
    temporary = f"{path}.{os.getpid()}.tmp"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, path)


def ensure_directory(path: str, *, mode: int, uid: int = 0, gid: int = 0, dry_run: bool = False) -> bool:
    """Create a folder or correct its mode and owner; True when something was (or would be) changed."""
    made = False
    try:
        folder = open_folder(path)
    except FileNotFoundError:
        if dry_run:
            return True
        os.makedirs(path, exist_ok=True)
        folder, made = open_folder(path), True
    try:
        state = os.fstat(folder)
        if not made and (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid) == (mode, uid, gid):
            return False
        if not dry_run:
            os.fchown(folder, uid, gid)
            os.fchmod(folder, mode)
        return True
    finally:
        os.close(folder)


def open_folder(path: str) -> int:
    """A folder's descriptor, through a link only where root, or who runs this, has made that.

    An app may replace the folders in its own ones by links, and root must not give it what those lead to.
    """
    entry = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        state = os.fstat(entry)
        target = os.readlink("", dir_fd=entry) if stat.S_ISLNK(state.st_mode) else ""
    finally:
        os.close(entry)
    if not target:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    if state.st_uid not in (0, os.geteuid()):
        told = f"a link to {target} that user {state.st_uid} has made is not followed; remove it, or make it as root"
        raise PermissionError(errno.EPERM, told, path)
    return os.open(os.path.join(os.path.dirname(path), target), os.O_RDONLY | os.O_DIRECTORY)


def full(*paths: str) -> list[str]:
    """The file systems of these paths that have next to no room left, or next to no inodes, in words."""
    found = []
    for path in paths:
        try:
            state = os.statvfs(path)
        except OSError:
            continue  # not there yet
        room, inodes = state.f_bavail * state.f_frsize, state.f_favail
        # Some file systems make inodes as they need them, and count none.
        if room < _LEAST_ROOM or (state.f_files and inodes < _LEAST_INODES):
            counted = f" and {inodes} inodes" if state.f_files else ""
            found.append(f"the file system of {path} has {room >> 10} KB{counted} left")
    return found


def explain_os_error(error: OSError, *paths: str) -> str:
    """What the operating system refused; where nothing more could be written, where that is and what to do."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return str(error)
    where = "; ".join(full(*paths)) or f"no room was left below {' and '.join(paths)}"
    return f"{error.strerror}: {where}. {MAKE_ROOM}"
