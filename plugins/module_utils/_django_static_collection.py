# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""How django_collectstatic brings a target that is a folder to what Django collects now; see _django_collectstatic."""

from __future__ import annotations

import os

from . import _django_static_changes as moving
from . import _django_static_compress as compress
from . import _django_static_files as files
from ._django_static_state import target_digest
from ._django_static_storage import Stage


class Collection:
    """One run on a target that is a folder, with what was seen of it."""

    def __init__(self, target, devices: set) -> None:
        self.target = target
        self.job, self.location, self.key, self.sources = target.job, target.location, target.key, target.sources
        self.state, self.stamps, self.warnings = target.state, target.stamps, target.warnings
        self.check_mode = self.job["check_mode"]
        self.same_device = devices <= {os.stat(files.nearest(self.location)).st_dev}

    def bring(self, command, functions: dict) -> dict | None:
        """Do what is to be done; None if the storage cannot be led to another folder."""
        return self.nothing_to_write() or self.collect(command, functions)

    def nothing_to_write(self) -> dict | None:
        """The answer when no source was touched, and each file of the target still has the content it should have."""
        if not self.target.same or not self.state.found:
            return None
        wanted = {name: found[:2] for name, found in self.state.files.items()}
        changes = self.differences(wanted)
        if changes["added"] or changes["modified"]:
            return None
        moving.refuse_unwritable(changes, self.location)
        if not self.check_mode:
            moving.synchronise("", self.location, changes)
            self.remember(wanted, {}, self.state.variants, self.state.header)
        return self.target.answer(changes, self.state.header)

    def collect(self, command, functions: dict) -> dict | None:
        """Have Django collect, and carry over what differs; None if the storage cannot be led to another folder."""
        with moving.workspace(self.location, self.check_mode) as fresh:
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
                moving.refuse_collisions(changes["added"], self.location)
            moving.refuse_unwritable(changes, self.location)
            header = {
                "post_processed": stage.post_processed,
                "precompressed": len(variants),
                "storage_compresses": storage_compresses,
            }
            if not self.check_mode:
                new = changes["added"] + changes["modified"]
                self.packer.make(variants.intersection(new))
                fresh_stamps = files.scan(fresh)
                moving.synchronise(fresh, self.location, changes, stage.manifest)
                stage.save_manifest(command)
                if stage.manifest_elsewhere is not None:
                    self.key = ""  # that place cannot be watched
                self.remember(wanted, {name: fresh_stamps.get(name) for name in new}, variants, header)
        return self.target.answer(changes, header)

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
        before = moving.contents(self.location, self.stamps, wanted, known)
        return moving.compare(before, wanted, self.unwanted(wanted))

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
            moving.wait_ticks(2)  # else a write that follows at once could leave the same stamp
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
                same = current == expected and expected and expected[3] + tick < self.target.scanned_at
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
                "options": self.target.options,
                "collected": len(wanted),
                "outside": outside,
                **{name: self.job[name] for name in ("compressors", "code")},
                **{name: header[name] for name in ("post_processed", "precompressed", "storage_compresses")},
            },
            collected,
            leftover,
            variants,
        )
