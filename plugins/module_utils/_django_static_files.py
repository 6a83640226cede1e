# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Files of a target folder for django_collectstatic: what is there, how it differs, how it is brought to a new state.

It runs inside the app's interpreter and needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time

# All that is ours in the target starts so; neither Django's finders nor Nginx's try_files lead to it.
OURS = ".emperor-collectstatic"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Seconds in which a file system may give two writes the same time: two ticks of a kernel with 100 a second.
TICK = 0.02
# The clock that the kernel stamps files with, CLOCK_REALTIME_COARSE of Linux; Python has no name for it.
STAMPING_CLOCK = 5


def stamping_time() -> int:
    """Nanoseconds on the clock that stamps files: on a host short of processor time it may be several ticks late."""
    return time.clock_gettime_ns(STAMPING_CLOCK)


def wait_ticks(number: int, limit: float = 1) -> None:
    """Wait until a write gets another stamp than one before; not for ever, as clocks can be set back."""
    until, deadline = time.time_ns() + int(number * TICK * 1e9), time.monotonic() + limit
    while stamping_time() < until and time.monotonic() < deadline:
        time.sleep(TICK)


def stamp(found: os.stat_result) -> tuple:
    """What changes with each write to a file: even one that keeps size and mtime has a new ctime."""
    return (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def source_stamp(path: str, found: os.stat_result) -> tuple:
    """As stamp(), but a file with several names is read instead, as each name that it gets or loses sets its ctime.

    Others do that: uv links the files of each environment it makes or removes to the same ones in its cache.
    """
    if found.st_nlink == 1:
        return stamp(found)
    return (found.st_mode, found.st_size, found.st_mtime_ns, content(path, found.st_mode), found.st_ino)


def scan(folder: str) -> dict[str, tuple]:
    """The stamp of each file and link below a folder, by name relative to it; nothing of ours."""
    found: dict[str, tuple] = {}
    waiting = [("", folder)]
    while waiting:
        prefix, path = waiting.pop()
        try:
            entries = os.scandir(path)
        except FileNotFoundError:
            continue
        with entries:
            for entry in entries:
                if not prefix and entry.name.startswith(OURS):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((f"{prefix}{entry.name}/", entry.path))
                else:
                    found[prefix + entry.name] = stamp(entry.stat(follow_symlinks=False))
    return found


def content(path: str, mode: int) -> str:
    """The target of a link, or a digest of what is in a file."""
    if stat.S_ISLNK(mode):
        return f"-> {os.readlink(path)}"
    if not stat.S_ISREG(mode):
        return "neither a file nor a link"  # reading a pipe would wait for ever
    checksum = hashlib.blake2b(digest_size=16)
    with open(path, "rb", buffering=0) as handle:
        while True:
            block = handle.read(1 << 20)
            if not block:
                return checksum.hexdigest()
            checksum.update(block)


def contents(folder: str, stamps: dict, wanted: dict, known: dict) -> dict[str, str]:
    """The content of the files that are wanted; only what is neither known nor of another size is read.

    wanted has a content and a size for each name, known a content and a stamp.
    """
    found = {}
    for name in stamps.keys() & wanted.keys():
        now = stamps[name]
        before = known.get(name)
        if before and before[1] == now:
            found[name] = before[0]
        elif stat.S_ISREG(now[0]) and now[1] != wanted[name][1]:
            found[name] = "of another size"
        else:
            found[name] = content(os.path.join(folder, name), now[0])
    return found


def add_reached(folder: str, stamps: dict, wanted: dict) -> None:
    """Add files that a walk does not meet: below a link to a folder, or outside of the target."""
    for name in wanted.keys() - stamps.keys():
        with contextlib.suppress(OSError):
            found = os.lstat(os.path.join(folder, name))
            if not stat.S_ISDIR(found.st_mode):
                stamps[name] = stamp(found)


def compare(before: dict, after: dict, deleted: set) -> dict:
    """The difference by content; a file that was written again as it was is no difference."""
    modified = sorted(name for name in before if before[name] != after[name][0])
    return {
        "added": sorted(after.keys() - before.keys()),
        "modified": modified,
        "deleted": sorted(deleted),
        "unmodified": len(before) - len(modified),
    }


def nearest(path: str) -> str:
    """The path itself, or the first folder above it that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path) or "."
    return path


def refuse_collisions(names: list, location: str) -> None:
    """A folder where a file has to go, or the other way round, has to be removed by who made it."""
    for name in names:
        path = os.path.join(location, name)
        found = nearest(path)
        if os.path.isdir(found) == (found == path):
            kind = "folder" if os.path.isdir(found) else "file"
            raise FileExistsError(f"{found} is a {kind}, so {name} cannot be written; remove it, or use clear")


def refuse_unwritable(changes: dict, location: str) -> None:
    """Say it before the first file is changed, and in check mode too."""
    names = changes["added"] + changes["modified"] + changes["deleted"]
    for parent in sorted({os.path.dirname(os.path.join(location, name)) for name in names}):
        folder = nearest(parent)
        if os.path.isdir(folder) and not os.access(folder, os.W_OK | os.X_OK):
            owner = os.stat(folder)
            raise PermissionError(
                f"user {os.geteuid()} may not write to {folder}, which belongs to user {owner.st_uid} and group "
                f"{owner.st_gid} with mode {stat.S_IMODE(owner.st_mode):04o}; give it to the user that collects "
                f"(option user), or collect as its owner. Nothing was changed"
            )


def explain(error: OSError, location: str) -> OSError:
    """An error of the file system with what to do about it."""
    if error.errno in FULL:
        reason = {errno.ENOSPC: "the file system is full", errno.EDQUOT: "the quota is used up"}
        what = reason.get(error.errno, "a file is larger than the limit for files (ulimit -f)")
        advice = "make room: the new files need their space beside the old ones until they take their place"
    elif error.errno == errno.EROFS:
        what, advice = "the file system is read-only", "mount it writable, or let STATIC_ROOT name another folder"
    else:
        return error
    where = error.filename or location
    return OSError(
        f"{what} ({error.strerror}: {where}); {advice}. Each file in {location} is the old one or the new one"
    )


@contextlib.contextmanager
def reserved(location: str):
    """One run at a time on a target; what a killed run has left there is removed.

    A target that was not there is made, and removed again when it stays empty.
    """
    made, path = [], location
    while not os.path.lexists(path):
        made.append(path)
        path = os.path.dirname(path)
    try:
        os.makedirs(location, exist_ok=True)
        handle = os.open(location, os.O_RDONLY)
    except OSError:  # it will turn out whether there is anything to write
        yield
        return
    try:
        # Some network file systems cannot lock a folder: then nothing is known about other runs, and nothing removed.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
            for name in os.listdir(location):
                if name.startswith(f"{OURS}-"):
                    discard(os.path.join(location, name))
        yield
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            for path in made:
                os.rmdir(path)


def discard(path: str) -> None:
    """Remove a file or a folder."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)


@contextlib.contextmanager
def workspace(location: str, check_mode: bool):
    """A private folder for the new files: in the target, so that they need only be renamed, or where it may write."""
    inside = not check_mode and os.access(location, os.W_OK | os.X_OK)
    folder = tempfile.mkdtemp(prefix=f"{OURS}-", dir=os.path.realpath(location) if inside else None)
    try:
        fresh = os.path.join(os.path.realpath(folder), "static")
        os.mkdir(fresh)
        with contextlib.suppress(OSError):  # new files get the group of the target, as Django does it
            os.chown(fresh, -1, os.stat(nearest(location)).st_gid)
        yield fresh
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def synchronise(fresh: str, location: str, changes: dict, last: str = "") -> None:
    """Carry changes from one folder to another; each file is the old one or the new one at any moment.

    The file last, the manifest, comes after all that it names; what nothing names any more goes at the end.
    """
    done: dict[str, list] = {"added": [], "modified": [], "deleted": []}
    try:
        in_the_way = [name for name in changes["deleted"] if changes["added"] and blocks(name, changes["added"])]
        for name in in_the_way:
            remove(location, name)
            done["deleted"].append(name)
        steps = [(kind, name) for kind in ("added", "modified") for name in changes[kind]]
        moved: set[str] = set()
        for kind, name in sorted(steps, key=lambda step: step[1] == last):
            put(fresh, location, name, moved)
            done[kind].append(name)
        for name in sorted(set(changes["deleted"]) - set(in_the_way)):
            remove(location, name)
            done["deleted"].append(name)
    except OSError as error:
        reason = explain(error, location)
        reason.partial_result = done  # type: ignore[attr-defined]
        raise reason from error


def blocks(name: str, added: list) -> bool:
    """Whether a file has to go before a new one fits: one is a folder of the other's path."""
    return any(new.startswith(f"{name}/") or name.startswith(f"{new}/") for new in added)


def remove(location: str, name: str) -> None:
    """Remove a file, and the folders that it leaves empty, but not the target itself."""
    os.unlink(os.path.join(location, name))
    with contextlib.suppress(OSError):
        parent = os.path.dirname(name)
        while parent:
            os.rmdir(os.path.join(location, parent))
            parent = os.path.dirname(parent)


def put(fresh: str, location: str, name: str, moved: set) -> None:
    """Put a new file in its place, with its whole folder when the target has none like it."""
    parent = "" if os.path.isabs(name) else os.path.dirname(name)
    top = parent
    while top:
        if top in moved:
            return
        top = os.path.dirname(top)
    target = os.path.join(location, name)
    folder = os.path.dirname(target)
    if parent and not os.path.lexists(folder):
        top = parent
        while os.path.dirname(top) and not os.path.lexists(os.path.join(location, os.path.dirname(top))):
            top = os.path.dirname(top)
        os.makedirs(os.path.dirname(os.path.join(location, top)), exist_ok=True)
        with contextlib.suppress(OSError):
            os.rename(os.path.join(fresh, top), os.path.join(location, top))
            moved.add(top)
            return
    os.makedirs(folder, exist_ok=True)
    if os.path.isdir(target) and not os.path.islink(target):
        os.rmdir(target)  # empty, else the collision was refused or its files are gone
    source = outside(fresh, name) if os.path.isabs(name) else os.path.join(fresh, name)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        temporary = f"{target}.{os.getpid()}.tmp"
        try:
            shutil.copy2(source, temporary, follow_symlinks=False)
            os.replace(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def outside(fresh: str, name: str) -> str:
    """Where the new state of a file outside of the target waits."""
    return os.path.join(os.path.dirname(fresh), hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest())
