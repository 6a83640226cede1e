# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What django_collectstatic remembers of a run, so that a run with nothing to do is fast; it never skips on a guess.

The file is in the target, readable for the app's user only; of sources and settings it holds digests, no names.
Line 1 is all that a run with nothing to do reads: digests of the state of sources, settings and target. Line 2 has each
file's content and stamp, by which a target that was touched but not changed is told from one that was changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import marshal
import os
import stat
import sys
import time

from ._django_static_files import OURS, TICK, source_stamp, stamping_time

FORMAT = 1
NAME = f"{OURS}.json"
# Settings that Django's own code for static files reads.
SETTINGS = (
    "STATIC",
    "STORAGES",
    "FILE_UPLOAD_",
    "MEDIA_",
    "DEBUG",
    "INSTALLED_APPS",
    "FORCE_SCRIPT_NAME",
    "WHITENOISE_",
)
# Methods of other classes may read anything, so only theirs are known to depend on nothing but files and settings.
KNOWN = ("django.", "whitenoise.")


class NotRepeatable(Exception):
    """The result may depend on something that cannot be seen from here; such a project is collected each time."""


def fingerprint(value) -> str:
    """A digest of plain data."""
    return hashlib.blake2b(marshal.dumps(value, 2), digest_size=16).hexdigest()


def plain(value, depth: int = 0):
    """A setting as plain data that is the same in the next process if the setting is."""
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return (type(value).__name__, value)
    if depth > 20:
        raise NotRepeatable("a setting is nested too deeply")
    if isinstance(value, dict):
        return ("dict", [(plain(key, depth + 1), plain(item, depth + 1)) for key, item in value.items()])
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [plain(item, depth + 1) for item in value])
    if isinstance(value, (set, frozenset)):
        return ("set", sorted(repr(plain(item, depth + 1)) for item in value))
    if isinstance(value, os.PathLike):
        return ("path", os.fspath(value))
    if hasattr(value, "pattern") and hasattr(value, "flags"):
        return ("pattern", value.pattern, value.flags)
    raise NotRepeatable(f"a {type(value).__qualname__} in the settings cannot be compared with the one of another run")


def code_of(kind: type) -> list:
    """The classes that a class is made of, with the state of their files.

    A method outside of the known packages may read what it likes, so its result cannot be foreseen; C(__init__) may
    set what the storage does, which is looked at by itself.
    """
    found = []
    for part in kind.__mro__[:-1]:
        if not part.__module__.startswith(KNOWN):
            for name, value in vars(part).items():
                if name != "__init__" and (callable(value) or hasattr(value, "__get__")) and not own_slot(name):
                    raise NotRepeatable(f"{part.__module__}.{part.__qualname__} has a method {name} of its own")
        file = inspect.getsourcefile(part)
        if not file:
            raise NotRepeatable(f"the source of {part.__module__} is not there")
        found.append((part.__module__, part.__qualname__, file, source_stamp(file, os.stat(file))))
    return found


def own_slot(name: str) -> bool:
    """What each class has without any code of its own, and what Django's decorators add."""
    return name in ("__dict__", "__weakref__", "__doc__", "__annotate_func__", "deconstruct", "__new__")


def inputs(command, storages: list, job: dict) -> str:
    """A digest of all that the result depends on, but for the files that the finders list: they are asked each time."""
    import django
    from django.conf import settings

    names = sorted(name for name in dir(settings) if name.startswith(SETTINGS))
    given = [name for storage in storages for name, value in vars(storage).items() if callable(value)]
    if given:
        raise NotRepeatable(f"the storage was given a method {given[0]} of its own")
    attributes = [
        (name, value)
        for storage in storages
        for name, value in sorted(vars(storage).items())
        if isinstance(value, (bool, int, str, tuple, list))
        and name not in ("manifest_hash", "_location", "location", "base_location")
    ]
    return fingerprint(
        [
            FORMAT,
            os.geteuid(),
            sys.version,
            django.get_version(),
            [(name, plain(getattr(settings, name))) for name in names if name != "STATIC_ROOT"],
            plain(attributes),
            [code_of(type(thing)) for thing in [command, *storages]],
            sorted(command.ignore_patterns),
            [job["link"], sorted(job["compressors"].items()), job["code"]],
        ]
    )


class Sources:
    """The files to collect, as the finders list them: what wins, what loses, and whether one has changed since."""

    def __init__(self) -> None:
        self.origins: dict[str, str] = {}
        self.losers: dict[str, list] = {}
        self.stamps: list = []
        self.repeatable = True
        self.read_at = stamping_time()
        self.newest = 0

    def add(self, name: str, origin: str, state: tuple | None) -> None:
        """Note one file; state is None when its content is no file's."""
        winner = self.origins.setdefault(name, origin)
        if winner != origin:
            self.losers.setdefault(name, []).append(origin)
        self.stamps.append((name, origin, state))
        if state is None:
            self.repeatable = False
        elif isinstance(state[3], int):  # what was read needs no clock to be told apart
            self.newest = max(self.newest, state[3])

    def clashes(self) -> list[dict]:
        """Paths that more than one source has."""
        return [
            {"path": name, "winner": self.origins[name], "losers": losers}
            for name, losers in sorted(self.losers.items())
        ]

    def digest(self) -> str:
        """Changes when a file is added, removed or written to."""
        return fingerprint(self.stamps) if self.repeatable else ""

    def settled(self, seconds: float) -> bool:
        """Whether a later write must show: not so in the same tick of the clock, as in Git's index."""
        return self.newest + int(seconds * 1e9) < self.read_at


def target_digest(stamps: dict) -> str:
    """Changes when a file of the target is added, removed or written to."""
    return fingerprint(sorted(stamps.items()))


class State:
    """What an earlier run has left: empty when there was none, or when it cannot be trusted."""

    def __init__(self, location: str) -> None:
        self.path = os.path.join(location, NAME)
        self.header: dict = {}
        self.leftover: set = set()
        self.variants: set = set()
        self._rest = b""
        self._files: dict | None = None
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode):
                return
            first, _newline, self._rest = file.read().partition(b"\n")
        with contextlib.suppress(ValueError):
            header = json.loads(first)
            if isinstance(header, dict) and header.get("format") == FORMAT:
                self.header = header

    @property
    def found(self) -> bool:
        """Whether there is anything to go by."""
        whole = hashlib.blake2b(self._rest, digest_size=16).hexdigest()
        return self.header.get("digest") == whole and bool(self.files)

    @property
    def files(self) -> dict:
        """Content, size and stamp of each file that was collected; the stamp is None where it cannot be trusted."""
        if self._files is None:
            self._files = {}
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
                rest = json.loads(self._rest)
                files = {
                    name: (item[0], item[1], tuple(item[2]) if item[2] else None)
                    for name, item in rest["files"].items()
                }
                self._files, self.leftover, self.variants = files, set(rest["leftover"]), set(rest["variants"])
        return self._files

    def write(self, header: dict, files: dict, leftover: set, variants: set) -> None:
        """Remember; a target where that is not possible is collected anew each time."""
        body = {"files": files, "leftover": sorted(leftover), "variants": sorted(variants)}
        rest = json.dumps(body, separators=(",", ":")).encode()
        header = {"format": FORMAT, "digest": hashlib.blake2b(rest, digest_size=16).hexdigest(), **header}
        temporary = os.path.join(os.path.dirname(self.path), f"{OURS}-{os.getpid()}")
        before = stamping_time()
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(json.dumps(header).encode() + b"\n" + rest)
                file.flush()
                written = os.fstat(handle).st_ctime_ns
            # Where the clock of a file server gives the times, what is settled here may not be so there.
            if not before - int(TICK * 1e9) <= written <= time.time_ns():
                os.unlink(temporary)
                return
            os.replace(temporary, self.path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
