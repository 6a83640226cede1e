# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""How django_collectstatic drives Django's own storages and collectstatic; inside the app's interpreter."""

from __future__ import annotations

import contextlib
import hashlib
import os

from ._django_static_changes import outside
from ._django_static_files import content, scan
from ._django_static_sources import is_plain, is_plain_folder

LARGE = 1 << 23  # bytes; what is larger goes through memory in pieces


def fresh_storage():
    """The static files storage as the settings describe it now."""
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.files.storage import storages
    from django.utils.functional import empty

    storages._storages.pop("staticfiles", None)
    staticfiles_storage._wrapped = empty
    return staticfiles_storage


def redirect(storage, folder: str):
    """Have a storage write to another folder; returns where it keeps its manifest, if not with the files."""
    from django.core.files.storage import FileSystemStorage, InMemoryStorage

    # It may take its place from its own options, not from STATIC_ROOT.
    if isinstance(storage, FileSystemStorage) and str(storage.location) != folder:
        storage._location = folder
        for name in ("base_location", "location"):
            vars(storage._wrapped).pop(name, None)
    elsewhere = getattr(storage, "manifest_storage", storage._wrapped)
    if elsewhere is storage._wrapped or elsewhere is storage:
        return None
    storage.manifest_storage = InMemoryStorage()
    return elsewhere


class Stage:
    """A folder into which Django collects, with what is known of each file there."""

    def __init__(self, fresh: str) -> None:
        self.fresh = fresh
        self.written: dict[str, tuple] = {}
        self.post_processed = 0
        self.manifest_elsewhere = None
        self.manifest = ""

    def collect(self, command) -> dict[str, tuple] | None:
        """Content and size of each file; None if the storage writes to a place that is not ours to choose."""
        from django.conf import settings

        settings.STATIC_ROOT = self.fresh
        command.storage = fresh_storage()
        self.manifest_elsewhere = redirect(command.storage, self.fresh)
        if os.path.realpath(str(command.storage.location)) != self.fresh:
            return None
        self.manifest = getattr(command.storage, "manifest_name", "")
        storage = command.storage._wrapped
        if is_plain_folder(storage) and is_plain(storage, "save", "_save", "delete", "get_available_name"):
            self._quicken(command, storage)
        explain_post_processing(command, storage)
        with remembered_urls():
            command.collect()
        self.post_processed = len(set(command.post_processed_files))
        wanted = {}
        for name, found in scan(self.fresh).items():
            written = self.written.get(name)
            if written and written[1:] == (found[1], found[2], found[4]):
                wanted[name] = (written[0], found[1])
            else:
                wanted[name] = (content(os.path.join(self.fresh, name), found[0]), found[1])
        self._add_manifest(command.storage, wanted)
        return wanted

    def _add_manifest(self, storage, wanted: dict) -> None:
        """A manifest that is kept with the code is carried over like a file, if it is one."""
        from django.core.files.storage import FileSystemStorage

        if self.manifest_elsewhere is None or not storage.manifest_storage.exists(self.manifest):
            return
        with storage.manifest_storage.open(self.manifest) as file:
            text = file.read()
        if isinstance(self.manifest_elsewhere, FileSystemStorage):
            self.manifest = self.manifest_elsewhere.path(self.manifest)
            path = outside(self.fresh, self.manifest)
            with open(path, "wb") as file:
                file.write(text)
                if self.manifest_elsewhere.file_permissions_mode is not None:
                    os.fchmod(file.fileno(), self.manifest_elsewhere.file_permissions_mode)
            self.manifest_elsewhere = None
            wanted[self.manifest] = (content(path, os.lstat(path).st_mode), len(text))

    def save_manifest(self, command) -> None:
        """A manifest that is kept in a place that is no folder goes there, as Django would have done it."""
        if self.manifest_elsewhere is not None:
            command.storage.manifest_storage = self.manifest_elsewhere
            command.storage.save_manifest()

    def _quicken(self, command, storage) -> None:
        """Do what Django's own methods do to a folder that was empty, without asking the file system for each step."""
        django_path, django_save, django_copy = storage.path, storage._save, command.copy_file
        mode, group, fresh = storage.file_permissions_mode, os.stat(self.fresh).st_gid, self.fresh
        if storage.directory_permissions_mode is not None or getattr(storage, "_allow_overwrite", False):
            return
        folders = set()

        def path(name):
            if not isinstance(name, str) or name[:1] in ("", "/", ".") or "//" in name or "/." in name:
                return django_path(name)
            return f"{fresh}/{name}"

        def write(name, chunks) -> bool:
            target = path(name)
            parent = os.path.dirname(target)
            if parent not in folders:
                os.makedirs(parent, exist_ok=True)
                folders.add(parent)
            try:
                handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                return False
            checksum = hashlib.blake2b(digest_size=16)
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    checksum.update(chunk)
                    file.write(chunk)
                file.flush()
                if mode is not None:
                    os.fchmod(handle, mode)
                found = os.fstat(handle)
                if found.st_gid != group:
                    with contextlib.suppress(PermissionError):
                        os.fchown(handle, -1, group)
            self.written[name] = (checksum.hexdigest(), found.st_size, found.st_mtime_ns, found.st_ino)
            return True

        def save(name, data):
            chunks = (chunk.encode() if isinstance(chunk, str) else chunk for chunk in data.chunks())
            return name.replace("\\", "/") if write(name, chunks) else django_save(name, data)

        def copy_file(name, prefixed, source):
            if prefixed in self.written or not is_plain_folder(source) or path(prefixed) != f"{fresh}/{prefixed}":
                django_copy(name, prefixed, source)
                return
            with open(source.path(name), "rb", buffering=0) as file:
                if not write(prefixed, iter(lambda: file.read(LARGE), b"")):
                    django_copy(name, prefixed, source)
                    return
            command.copied_files.append(prefixed)

        storage.path, storage._save = path, save
        storage.exists = lambda name: os.path.lexists(path(name))
        if is_plain(command, "copy_file", "delete_file"):
            command.copy_file = copy_file


@contextlib.contextmanager
def remembered_urls():
    """Make the URL of a file once: Django asks for it in each pass and for each pattern that it rewrites."""
    from django.core.files.storage import FileSystemStorage

    made, known = FileSystemStorage.url, {}

    def url(storage, name):
        key = (storage.base_url, name)
        if key not in known:
            known[key] = made(storage, name)
        return known[key]

    FileSystemStorage.url = url
    try:
        yield
    finally:
        FileSystemStorage.url = made


def explain_post_processing(command, storage) -> None:
    """Have a failure of post-processing name the file and say what to do; Django only prints the name."""
    if not hasattr(storage, "post_process"):
        return
    process = storage.post_process

    def post_process(paths, **options):
        for name, hashed, processed in process(paths, **options):
            if isinstance(processed, Exception):
                source, path = paths.get(name, (None, name))
                where = source.path(path) if source is not None and is_plain_folder(source) else name
                raise ValueError(
                    f"post-processing {name} ({where}) failed: {processed} Correct the reference in it, or add the "
                    f"file that it names to a source. Nothing was changed"
                ) from processed
            yield name, hashed, processed

    storage.post_process = post_process
