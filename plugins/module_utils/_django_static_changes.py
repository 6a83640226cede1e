# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""How a target folder of django_collectstatic differs from what is wanted, and how it is brought to that.

It runs inside the app's interpreter and needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
import time

from ._django_static_files import OURS, TICK, content, nearest, stamping_time

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def wait_ticks(number: int, limit: float = 1) -> None:
    """Wait until a write gets another stamp than one before; not for ever, as clocks can be set back."""
    until, deadline = time.time_ns() + int(number * TICK * 1e9), time.monotonic() + limit
    while stamping_time() < until and time.monotonic() < deadline:
        time.sleep(TICK)


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


def compare(before: dict, after: dict, deleted: set) -> dict:
    """The difference by content; a file that was written again as it was is no difference."""
    modified = sorted(name for name in before if before[name] != after[name][0])
    return {
        "added": sorted(after.keys() - before.keys()),
        "modified": modified,
        "deleted": sorted(deleted),
        "unmodified": len(before) - len(modified),
    }


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
