# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What django_collectstatic does inside the app's interpreter; see _django_runner."""

from __future__ import annotations

import contextlib
import os

from . import _django_static_files as files
from ._django_static_sources import list_sources
from ._django_static_state import NotRepeatable, State, inputs, target_digest


def run(job: dict) -> dict:
    """Bring the target to what Django collects now, and tell exactly what that changes.

    Files are collected into a folder of their own and carried over one by one, so that the target is never half
    written, a file edited there by hand is noticed, and check mode is the same work without its last step. To compile
    what does so takes as long as to see that nothing is to do.
    """
    command = load_command(job)
    if not job["skip_checks"]:
        check(command)
    sources, devices = list_sources(command)
    if not command.is_local_storage():
        return collect_elsewhere(command, job, sources)
    location = target_of(command)
    functions, job["compressors"], warnings = compressors(job)
    key = key_of(command, sources, job)
    with contextlib.nullcontext() if job["check_mode"] else files.reserved(location):
        target = Target(job, location, key, sources, warnings)
        try:
            answer = target.nothing_to_do()
            if answer is None:
                from ._django_static_collection import Collection

                answer = Collection(target, devices).bring(command, functions)
        except OSError as error:
            if error.errno is None:
                raise
            from ._django_static_changes import explain

            raise explain(error, location) from error
    return collect_elsewhere(command, job, sources) if answer is None else answer


def collect_elsewhere(command, job: dict, sources) -> dict:
    """Collect into a storage that is no folder, or one that only Django can write to."""
    from ._django_static_remote import collect_remote

    return collect_remote(command, job, sources.clashes())


def compressors(job: dict) -> tuple[dict, dict, list]:
    """Functions and versions of the methods to compress with, and a warning for each that cannot be had."""
    if not job["precompress"]:
        return {}, {}, []
    from ._django_static_compress import methods

    return methods(job["precompress"])


def is_untouched(job: dict) -> bool:
    """Whether nothing is to do for what an earlier run has collected, nor anybody to be warned; for check mode only."""
    command = load_command(job)
    sources, devices = list_sources(command)
    if not command.is_local_storage():
        return False
    _functions, job["compressors"], warnings = compressors(job)
    target = Target(job, target_of(command), key_of(command, sources, job), sources, warnings)
    answer = target.nothing_to_do()
    if answer is None:
        # Another name for a file, as a release gives each when it goes live, is seen, and changes nothing in it.
        from ._django_static_collection import Collection

        answer = Collection(target, devices).nothing_to_write()
    return answer is not None and not any(answer[name] for name in ("added", "modified", "deleted", "warnings"))


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


class Target:
    """A target that is a folder, as it is now and as an earlier run has left it."""

    def __init__(self, job: dict, location: str, key: str, sources, warnings: list) -> None:
        self.job, self.location, self.key, self.sources, self.warnings = job, location, key, sources, warnings
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
