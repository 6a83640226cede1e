# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What django_collectstatic does inside the app's interpreter; see _django_runner."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile


def run(job: dict) -> dict:
    """Collect static files into an empty folder, then bring the target to that state file by file.

    The target is never half written, a file edited there by hand is noticed, and check mode is the same work
    without its last step.
    """
    from django.conf import settings
    from django.core import management
    from django.core.exceptions import ImproperlyConfigured

    commands = management.get_commands()
    if "collectstatic" not in commands:
        raise ImproperlyConfigured(
            "django.contrib.staticfiles is not in INSTALLED_APPS, so there is nothing to collect"
        )
    command = management.load_command_class(commands["collectstatic"], "collectstatic")
    command.set_options(
        interactive=False,
        verbosity=0,
        link=job["link"],
        clear=False,
        dry_run=False,
        ignore_patterns=job["ignore"],
        use_default_ignore_patterns=True,
        post_process=True,
    )
    if not command.is_local_storage():
        return collect_in_place(command, job)
    if not command.storage.location:
        raise ImproperlyConfigured("STATIC_ROOT is not set; set it to the folder that the web server serves")
    location = str(command.storage.location)
    with tempfile.TemporaryDirectory(prefix="emperor-collectstatic-") as folder:
        fresh = os.path.join(os.path.realpath(folder), "static")
        settings.STATIC_ROOT = fresh
        command.storage = fresh_storage()
        redirect(command.storage, fresh, job["check_mode"])
        if os.path.realpath(str(command.storage.location)) != fresh:
            return collect_in_place(command, job)
        command.collect()
        changes = compare(snapshot(location), snapshot(fresh), location, keep_unknown=not job["clear"])
        if not job["clear"]:
            refuse_collisions(changes["added"], location)
        if not job["check_mode"]:
            synchronise(fresh, location, changes)
    return changes


def synchronise(fresh: str, location: str, changes: dict) -> None:
    """Carry changes from one folder to another; each file is the old one or the new one at any moment."""
    for name in changes["deleted"]:
        os.unlink(os.path.join(location, name))
        parent = os.path.dirname(name)
        with contextlib.suppress(OSError):  # a folder with other files in it stays
            while parent:  # and so does the target itself, which may have an owner and a mode of its own
                os.rmdir(os.path.join(location, parent))
                parent = os.path.dirname(parent)
    for name in changes["added"] + changes["modified"]:
        target = os.path.join(location, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temporary = f"{target}.{os.getpid()}.tmp"
        shutil.copy2(os.path.join(fresh, name), temporary, follow_symlinks=False)
        os.replace(temporary, target)


def fresh_storage():
    """The static files storage as the settings describe it now."""
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.files.storage import storages
    from django.utils.functional import empty

    storages._storages.pop("staticfiles", None)
    staticfiles_storage._wrapped = empty
    return staticfiles_storage


def redirect(storage, folder: str, check_mode: bool) -> None:
    """Have a storage that takes its place from its own options, not from STATIC_ROOT, write to another folder."""
    from django.core.files.storage import FileSystemStorage, InMemoryStorage

    if isinstance(storage, FileSystemStorage) and str(storage.location) != folder:
        storage._location = folder
        for name in ("base_location", "location"):
            vars(storage._wrapped).pop(name, None)
    if check_mode and getattr(storage, "manifest_storage", storage._wrapped) is not storage._wrapped:
        storage.manifest_storage = InMemoryStorage()


def refuse_collisions(names: list, location: str) -> None:
    """A folder where a file has to go, or the other way round, has to be removed by who made it."""
    for name in names:
        path = os.path.join(location, name)
        while not os.path.lexists(path):
            path = os.path.dirname(path)
        if os.path.isdir(path) == (path == os.path.join(location, name)):
            kind = "folder" if os.path.isdir(path) else "file"
            raise FileExistsError(f"{path} is a {kind}, so {name} cannot be written; remove it, or use clear")


def collect_in_place(command, job: dict) -> dict:
    """A storage whose place is not ours to choose, a bucket for example: what the command reports is all to know."""
    command.dry_run, command.clear = job["check_mode"], job["clear"]
    report = command.collect()
    return {
        "location": "",
        "added": [],
        "modified": sorted(report["modified"]),
        "deleted": [],
        "unmodified": len(report["unmodified"]),
        "exact": False,
    }


def snapshot(folder: str) -> dict[str, str]:
    """Each file below a folder with a digest of its content, or the target of a link."""
    files = {}
    for parent, folders, names in os.walk(folder):
        for name in [*names, *(name for name in folders if os.path.islink(os.path.join(parent, name)))]:
            path = os.path.join(parent, name)
            files[os.path.relpath(path, folder)] = f"-> {os.readlink(path)}" if os.path.islink(path) else digest(path)
    return files


def digest(path: str) -> str:
    """The content of a file in 16 bytes."""
    checksum = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            checksum.update(block)
    return checksum.hexdigest()


def compare(before: dict[str, str], after: dict[str, str], location: str, keep_unknown: bool) -> dict:
    """The difference of two snapshots by content; a file that was written again as it was is no difference."""
    common = before.keys() & after.keys()
    modified = sorted(name for name in common if before[name] != after[name])
    return {
        "location": location,
        "added": sorted(after.keys() - before.keys()),
        "modified": modified,
        "deleted": [] if keep_unknown else sorted(before.keys() - after.keys()),
        "unmodified": len(common) - len(modified),
        "exact": True,
    }
