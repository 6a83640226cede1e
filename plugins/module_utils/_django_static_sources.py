# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What django_collectstatic is to collect, as Django's own finders list it; inside the app's interpreter."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re

from ._django_static_files import entries_of, opened, source_stamp
from ._django_static_state import Sources


def is_plain(storage, *names: str) -> bool:
    """Whether these methods of a storage are Django's own, so that their result is known."""
    storage = getattr(storage, "_wrapped", storage)  # DefaultStorageFinder gives a lazy one
    kind, given = type(storage), vars(storage)
    return all(name not in given and getattr(kind, name).__module__.startswith("django.") for name in names)


def is_plain_folder(storage) -> bool:
    """Whether a storage is no more than a folder."""
    from django.core.files.storage import FileSystemStorage

    return isinstance(storage, FileSystemStorage) and is_plain(storage, "open", "_open", "path", "exists", "listdir")


def list_sources(command) -> tuple[Sources, set]:
    """All files that the finders list, and the devices that they are on; Django gets the same list later."""
    from django.contrib.staticfiles.finders import get_finders

    sources, devices = Sources(), set()
    for finder in get_finders():
        with walked_at_once() as walked:
            listed = list(finder.list(command.ignore_patterns))
        hand_over(finder, listed, command.ignore_patterns)
        known: dict = {}
        for path, storage in listed:
            place = known.get(id(storage))
            if place is None:
                folder = str(storage.location) if is_plain_folder(storage) else ""
                _storage, stats = walked.get(id(storage), (None, {}))
                place = known[id(storage)] = (getattr(storage, "prefix", None), folder, stats)
            prefix, folder, stats = place
            name = os.path.join(prefix, path) if prefix else path
            if not folder:
                sources.add(name, f"{type(storage).__qualname__}:{path}", None)
                continue
            origin = f"{folder}/{path}"
            try:
                found = stats.get(path) or os.stat(origin)
                state = source_stamp(origin, found)
            except OSError:  # a link to nowhere: Django will tell
                sources.add(name, origin, None)
            else:
                devices.add(found.st_dev)
                sources.add(name, origin, state)
    return sources, devices


@contextlib.contextmanager
def walked_at_once():
    """Have folders walked in less than half of Django's time; gives the states of files by the id of their storage."""
    from django.contrib.staticfiles import utils

    original = utils.get_files
    walked: dict[int, tuple] = {}  # with the storage, so that no other one gets its id

    def get_files(storage, ignore_patterns=None, location=""):
        if location or not is_plain_folder(storage):
            return original(storage, ignore_patterns, location)
        stats = walk(str(storage.location), tuple(ignore_patterns or ()))
        walked[id(storage)] = storage, stats
        return iter(stats)

    utils.get_files = get_files
    try:
        yield walked
    finally:
        utils.get_files = original


def walk(top: str, patterns: tuple) -> dict:
    """The files below a folder that no pattern excludes, in the order of Django's get_files, with their states.

    Those of links to nowhere are None.
    """
    ignored = re.compile("|".join(map(fnmatch.translate, patterns))).match if patterns else lambda _path: None
    found: dict = {}
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        folders = []
        path = f"{top}/{prefix}"
        with entries_of(opened(path), path) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir():
                    if not ignored(name):
                        folders.append(f"{prefix}{name}/")
                elif not ignored(name) and not (prefix and ignored(prefix + name)):
                    try:
                        found[prefix + name] = entry.stat()
                    except OSError:
                        found[prefix + name] = None
        waiting += reversed(folders)
    return found


def hand_over(finder, listed: list, patterns: list) -> None:
    """Have a finder give the list that it gave before, so that the folders are walked once."""
    again = finder.list

    def known(ignore_patterns):
        return iter(listed) if list(ignore_patterns) == list(patterns) else again(ignore_patterns)

    finder.list = known
