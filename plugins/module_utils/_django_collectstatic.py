# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What django_collectstatic does inside the app's interpreter; see _django_runner."""

from __future__ import annotations

import contextlib
import os

from . import _django_static_compress as compress
from . import _django_static_files as files
from ._django_static_remote import collect_remote
from ._django_static_state import (
    NotRepeatable,
    State,
    inputs,
    target_digest,
)
from ._django_static_storage import Stage, list_sources


def run(job: dict) -> dict:
    """Bring the target to what Django collects now, and tell exactly what that changes.

    Files are collected into a folder of their own and carried over one by one, so that the target is never half
    written, a file edited there by hand is noticed, and check mode is the same work without its last step.
    """
    command = load_command(job)
    if not job["skip_checks"]:
        check(command)
    sources, devices = list_sources(command)
    if not command.is_local_storage():
        return collect_remote(command, job, sources.clashes())
    location = target_of(command)
    functions, job["compressors"], warnings = compress.methods(job["precompress"])
    key = key_of(command, sources, job)
    with contextlib.nullcontext() if job["check_mode"] else files.reserved(location):
        collection = Collection(job, location, key, sources, warnings)
        collection.same_device = devices <= {os.stat(files.nearest(location)).st_dev}
        try:
            answer = (
                collection.nothing_to_do() or collection.nothing_to_write() or collection.collect(command, functions)
            )
        except OSError as error:
            if error.errno is None:
                raise
            raise files.explain(error, location) from error
    return collect_remote(command, job, sources.clashes()) if answer is None else answer


def is_untouched(job: dict) -> bool:
    """Whether neither a source nor the target was touched since an earlier run, and nobody has to be warned."""
    command = load_command(job)
    sources, _devices = list_sources(command)
    if not command.is_local_storage():
        return False
    _functions, job["compressors"], warnings = compress.methods(job["precompress"])
    collection = Collection(job, target_of(command), key_of(command, sources, job), sources, warnings)
    answer = collection.nothing_to_do()
    return answer is not None and not answer["warnings"]


def target_of(command) -> str:
    """The folder that the files are for."""
    from django.core.exceptions import ImproperlyConfigured

    if not command.storage.location:
        raise ImproperlyConfigured("STATIC_ROOT is not set; set it to the folder that the web server serves")
    location = str(command.storage.location)
    if os.path.lexists(location) and not os.path.isdir(location):
        raise NotADirectoryError(f"STATIC_ROOT {location} is no folder; remove it, or let STATIC_ROOT name another one")
    return location


def key_of(command, sources, job: dict) -> str:
    """What the result depends on besides the sources; empty where that cannot be known."""
    storages = [command.storage._wrapped, getattr(command.storage, "manifest_storage", command.storage._wrapped)]
    try:
        return inputs(command, storages, job) if sources.repeatable else ""
    except NotRepeatable:
        return ""


def load_command(job: dict):
    """The project's collectstatic, with the options of the job."""
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
        ignore_patterns=list(job["ignore"]),
        use_default_ignore_patterns=True,
        post_process=True,
    )
    load_storage(command)
    return command


def load_storage(command) -> None:
    """Have the storage made; a manifest in the target that cannot be read is as none, as it is to be written anew."""
    from django.contrib.staticfiles.storage import ManifestFilesMixin
    from django.utils.functional import empty

    if getattr(command.storage, "_wrapped", None) is not empty:
        return
    try:
        command.storage._setup()
    except (AttributeError, ValueError):
        read = ManifestFilesMixin.read_manifest
        ManifestFilesMixin.read_manifest = lambda _storage: None
        try:
            command.storage._setup()
        finally:
            ManifestFilesMixin.read_manifest = read


def check(command) -> None:
    """Run the system checks that Django runs before this command, which has its own opinion on which these are."""
    wanted = command.requires_system_checks
    if wanted == "__all__":
        command.check()
    elif wanted:
        command.check(tags=wanted)


class Collection:
    """One run on a target that is a folder."""

    def __init__(self, job: dict, location: str, key: str, sources, warnings: list) -> None:
        self.job, self.location, self.key, self.sources, self.warnings = job, location, key, sources, warnings
        self.check_mode = job["check_mode"]
        self.same_device = False
        self.options = [job["clear"], job["prune"]]
        self.state = State(location)
        self.scanned_at = files.stamping_time()
        self.stamps = files.scan(location)
        header = self.state.header
        for name in header.get("outside", []):
            files.add_reached(location, self.stamps, {name: None})
        self.same = bool(key) and header.get("key") == key and header.get("sources") == sources.digest()

    def answer(self, changes: dict, header: dict) -> dict:
        """What the module returns."""
        counts = {name: header[name] for name in ("post_processed", "precompressed")}
        own = ["the storage makes compressed files itself, so precompress makes none"] * header["storage_compresses"]
        return {
            "location": self.location,
            **changes,
            **counts,
            "clashes": self.sources.clashes(),
            "exact": True,
            "warnings": self.warnings + own,
        }

    def nothing_to_do(self) -> dict | None:
        """The answer when neither a source nor the target was touched since an earlier run."""
        header = self.state.header
        if not self.same or header["options"] != self.options or header["target"] != target_digest(self.stamps):
            return None
        nothing = {"added": [], "modified": [], "deleted": [], "unmodified": header["collected"]}
        return self.answer(nothing, header)

    def nothing_to_write(self) -> dict | None:
        """The answer when no source was touched, and each file of the target still has the content it should have."""
        if not self.same or not self.state.found:
            return None
        wanted = {name: found[:2] for name, found in self.state.files.items()}
        changes = self.differences(wanted)
        if changes["added"] or changes["modified"]:
            return None
        files.refuse_unwritable(changes, self.location)
        if not self.check_mode:
            files.synchronise("", self.location, changes)
            self.remember(wanted, {}, self.state.variants, self.state.header)
        return self.answer(changes, self.state.header)

    def collect(self, command, functions: dict) -> dict | None:
        """Have Django collect, and carry over what differs; None if the storage cannot be led to another folder."""
        with files.workspace(self.location, self.check_mode) as fresh:
            stage = Stage(fresh)
            wanted = stage.collect(command)
            if wanted is None:
                return None
            variants, storage_compresses = self.precompress(stage, command, functions, wanted)
            if self.job["prune"] and not self.state.found and self.stamps.keys() - wanted.keys():
                self.warnings.append(
                    f"there is no record of an earlier run in {self.location}, so prune does not know which files came "
                    f"from a source; it will from now on. clear removes all that is not collected"
                )
            changes = self.differences(wanted)
            if not self.job["clear"]:
                files.refuse_collisions(changes["added"], self.location)
            files.refuse_unwritable(changes, self.location)
            header = {
                "post_processed": stage.post_processed,
                "precompressed": len(variants),
                "storage_compresses": storage_compresses,
            }
            if not self.check_mode:
                new = changes["added"] + changes["modified"]
                self.packer.make(variants.intersection(new))
                fresh_stamps = files.scan(fresh)
                files.synchronise(fresh, self.location, changes, stage.manifest)
                stage.save_manifest(command)
                if stage.manifest_elsewhere is not None:
                    self.key = ""  # that place cannot be watched
                self.remember(wanted, {name: fresh_stamps.get(name) for name in new}, variants, header)
        return self.answer(changes, header)

    def precompress(self, stage, command, functions: dict, wanted: dict) -> tuple[set, bool]:
        """Add compressed files to those that are wanted; returns their names, and whether the storage makes its own."""
        self.packer = compress.Precompressor(stage.fresh, functions, command.storage.file_permissions_mode)
        if not functions:
            return set(), False
        if compress.made_by_storage(wanted, self.sources.origins):
            return set(), True
        same = self.state.found and all(self.state.header[name] == self.job[name] for name in ("compressors", "code"))
        remembered = self.state.files if same else {}
        planned = self.packer.plan(wanted, {stage.manifest}, remembered, self.state.variants)
        wanted.update(planned)
        return set(planned), False

    def differences(self, wanted: dict) -> dict:
        """What has to change in the target."""
        files.add_reached(self.location, self.stamps, wanted)
        known = {name: (found[0], found[2]) for name, found in self.collected_before().items()}
        before = files.contents(self.location, self.stamps, wanted, known)
        return files.compare(before, wanted, self.unwanted(wanted))

    def collected_before(self) -> dict:
        """Files of the last run."""
        return self.state.files if self.state.found else {}

    def unwanted(self, wanted: dict) -> set:
        """Files of the target that have to go."""
        strays = self.stamps.keys() - wanted.keys()
        if self.job["clear"]:
            return {name for name in strays if not os.path.isabs(name)}
        before = self.collected_before()
        gone = strays & self.state.variants if before else set()
        if self.job["prune"] and before:
            gone |= strays & (before.keys() | self.state.leftover)
        # A web server that serves variants would send this one in place of the file it is no variant of any more.
        for name in strays:
            base, method = compress.base_of(name)
            if method in self.job["compressors"] and base in wanted:
                gone.add(name)
        return {name for name in gone if not os.path.isabs(name)}

    def remember(self, wanted: dict, moved: dict, variants: set, header: dict) -> None:
        """Write down what a later run needs to know; a stamp that a later write might not change is not written."""
        if moved:
            files.wait_ticks(2)  # else a write that follows at once could leave the same stamp
        settled_at, now = files.stamping_time(), files.scan(self.location)
        files.add_reached(self.location, now, wanted)
        tick = int(files.TICK * 1e9)
        collected, trusted = {}, True
        for name, found in wanted.items():
            current = now.get(name)
            if name in moved:  # renaming sets ctime
                expected = moved[name]
                same = current and expected and (current[:3], current[4]) == (expected[:3], expected[4])
            else:
                expected = self.stamps.get(name)
                same = current == expected and expected and expected[3] + tick < self.scanned_at
            same = bool(same and current and current[3] + tick < settled_at)
            trusted = trusted and same
            collected[name] = (found[0], found[1], current if same else None)
        before = self.collected_before()
        leftover = ((before.keys() | self.state.leftover) & now.keys()) - wanted.keys() if before else set()
        outside = sorted(name for name in wanted if os.path.isabs(name))
        settled = self.sources.settled(files.TICK if self.same_device else 2)
        self.state.write(
            {
                "key": self.key,
                "sources": self.sources.digest() if settled else "",
                "target": target_digest(now) if trusted else "",
                "options": self.options,
                "collected": len(wanted),
                "outside": outside,
                **{name: self.job[name] for name in ("compressors", "code")},
                **{name: header[name] for name in ("post_processed", "precompressed", "storage_compresses")},
            },
            collected,
            leftover,
            variants,
        )
