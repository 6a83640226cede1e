# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What django_collectstatic does, inside the app's interpreter, with a storage that is no folder: a bucket, say."""

from __future__ import annotations

import json


def collect_remote(command, job: dict, clashes: list) -> dict:
    """Let Django collect into the storage; what it asked the storage, and reported, is all there is to know."""
    storage, check_mode = command.storage, job["check_mode"]
    kind = f"{type(storage._wrapped).__module__}.{type(storage._wrapped).__qualname__}"
    warnings = [
        f"{option} does nothing with the storage {kind}, which is no folder of this host"
        for option in ("prune", "precompress")
        if job[option]
    ]
    if check_mode and hasattr(storage, "post_process"):
        warnings.append(f"check mode cannot foresee what the post-processing of the storage {kind} writes")
    before = manifest_of(storage)
    existing = set(names_below(storage, "")) if job["clear"] else set()
    was_there = watch_exists(storage._wrapped)
    command.dry_run, command.clear = check_mode, job["clear"]
    report = command.collect()
    written = set(report["modified"])
    if job["clear"]:
        # In check mode nothing was cleared, so what Django took for unmodified would be written too.
        written |= set(report["unmodified"])
        was_there = {name: name in existing for name in written}
        # What post-processing has written is in no list of Django's.
        existing -= hashed_names(before, written) if check_mode else set(names_below(storage, ""))
    manifest = getattr(storage, "manifest_name", "")
    deleted = existing - written
    after = before if check_mode else manifest_of(storage)
    if after != before:
        written.add(manifest)
        was_there[manifest] = before is not None
    deleted.discard(manifest)
    return {
        "location": "",
        "added": sorted(name for name in written if not was_there.get(name)),
        "modified": sorted(name for name in written if was_there.get(name)),
        "deleted": sorted(deleted),
        "unmodified": len(set(report["unmodified"]) - written),
        "post_processed": len(set(command.post_processed_files)),
        "precompressed": 0,
        "clashes": clashes,
        "exact": False,
        "warnings": warnings,
    }


def manifest_of(storage) -> str | None:
    """The manifest as it is now, if the storage has one."""
    return storage.read_manifest() if hasattr(storage, "read_manifest") else None


def hashed_names(manifest: str | None, names: set) -> set:
    """The names with which a manifest knows files; those whose content is as it was get the same ones again."""
    try:
        paths = json.loads(manifest or "{}")["paths"]
        return {hashed for name, hashed in paths.items() if name in names}
    except (ValueError, LookupError, TypeError, AttributeError):
        return set()


def watch_exists(storage) -> dict[str, bool]:
    """The first answer to each question whether a file is there; Django asks before it writes."""
    answers: dict[str, bool] = {}
    exists = storage.exists

    def watched(name):
        return answers.setdefault(name, exists(name)) if name not in answers else exists(name)

    storage.exists = watched
    return answers


def names_below(storage, folder: str):
    """All files of a storage, which is one question for each of its folders."""
    try:
        folders, files = storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in files:
        yield f"{folder}/{name}" if folder else name
    for name in folders:
        yield from names_below(storage, f"{folder}/{name}" if folder else name)
