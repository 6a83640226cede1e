# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Files of a target folder for django_collectstatic: what is there, and that nobody else is at work on it.

It runs inside the app's interpreter and needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import time

# All that is ours in the target starts so; neither Django's finders nor Nginx's try_files lead to it.
OURS = ".emperor-collectstatic"
# Seconds in which a file system may give two writes the same time: two ticks of a kernel with 100 a second.
TICK = 0.02
# The clock that the kernel stamps files with, CLOCK_REALTIME_COARSE of Linux; Python has no name for it.
STAMPING_CLOCK = 5


def stamping_time() -> int:
    """Nanoseconds on the clock that stamps files: on a host short of processor time it may be several ticks late."""
    return time.clock_gettime_ns(STAMPING_CLOCK)


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


def opened(folder: str) -> int:
    """A handle of a folder: files are found faster by their names in it than by their whole paths."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


@contextlib.contextmanager
def entries_of(handle: int, folder: str):
    """What is in an open folder, which is closed; errors have the whole path."""
    try:
        with os.scandir(handle) as entries:
            yield entries
    except OSError as error:
        error.filename = os.path.join(folder, error.filename) if isinstance(error.filename, str) else folder
        raise
    finally:
        os.close(handle)


def scan(folder: str) -> dict[str, tuple]:
    """The stamp of each file and link below a folder, by name relative to it; nothing of ours."""
    found: dict[str, tuple] = {}
    waiting = [("", folder)]
    while waiting:
        prefix, path = waiting.pop()
        try:
            handle = opened(path)
        except FileNotFoundError:
            continue
        with entries_of(handle, path) as entries:
            for entry in entries:
                name = entry.name
                if not prefix and name.startswith(OURS):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((f"{prefix}{name}/", f"{path}/{name}"))
                else:
                    found[prefix + name] = stamp(entry.stat(follow_symlinks=False))
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


def add_reached(folder: str, stamps: dict, wanted: dict) -> None:
    """Add files that a walk does not meet: below a link to a folder, or outside of the target."""
    for name in wanted.keys() - stamps.keys():
        with contextlib.suppress(OSError):
            found = os.lstat(os.path.join(folder, name))
            if not stat.S_ISDIR(found.st_mode):
                stamps[name] = stamp(found)


def nearest(path: str) -> str:
    """The path itself, or the first folder above it that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path) or "."
    return path


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
