# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Where a release's sources come from, and how they get into a folder without harm."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable

ARCHIVE_ENDINGS = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip")

# Left out of a folder that is no Git work tree: nothing here belongs to a release, and some of it is secret.
IGNORED = (
    ".git", ".hg", ".svn", ".venv", "venv", ".env", ".tox", ".nox", "node_modules", "__pycache__", "*.pyc",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".DS_Store", "*.sqlite3", "*.sqlite3-wal", "*.sqlite3-shm",
)  # fmt: skip
_PLACEHOLDERS = (".gitkeep", ".keep", ".gitignore")


class SourceError(Exception):
    """A source that cannot be used; the message says what it is and what to write instead."""


def kind(source: str) -> str:
    """Tell a Git repository (C(git)), an archive to download (C(url)) and something local (C(path)) apart."""
    if re.match(r"https?://", source):
        return "url" if source.split("?")[0].lower().endswith(ARCHIVE_ENDINGS) else "git"
    if re.match(r"(ssh|git|git\+ssh|file)://", source):
        return "git"
    # scp-like: user@host:path; a local path may hold a colon, but not before its first slash.
    if re.match(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:", source):
        return "git"
    return "path"


def folder_files(folder: str) -> list[str]:
    """The files of a folder that belong to a release: what Git does not ignore, or all but well-known clutter."""
    if not _in_git(folder):
        return sorted(_walk(folder))
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "-C",
        folder,
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    try:
        # On the controller, where there is no AnsibleModule.
        listed = subprocess.run(command, capture_output=True, check=True)  # pylint: disable=ansible-bad-function
    except OSError as error:
        raise SourceError(f"source {folder} is a Git work tree, and Git does not run here: {error}") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip()
        raise SourceError(f"source {folder} is a Git work tree, and Git does not list its files: {said}") from None
    names = {os.fsdecode(name) for name in listed.stdout.split(b"\0") if name}
    return sorted(name for name in names if os.path.lexists(os.path.join(folder, name)))


def _in_git(folder: str) -> bool:
    while folder != os.path.dirname(folder):
        if os.path.exists(os.path.join(folder, ".git")):
            return True
        folder = os.path.dirname(folder)
    return False


def _walk(folder: str) -> list[str]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _ignored(name)]
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in [*names, *links]:
            if not _ignored(name):
                found.append(os.path.relpath(os.path.join(parent, name), folder))
    return found


def _ignored(name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in IGNORED)


def folder_revision(folder: str, names: list[str]) -> str:
    """A digest of names, contents and executable bits: two folders with the same one are the same release."""
    checksum = hashlib.sha256()
    for name in names:
        path = os.path.join(folder, name)
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            kind_of, content = b"link", hashlib.sha256(os.fsencode(os.readlink(path))).digest()
        elif stat.S_ISREG(status.st_mode):
            kind_of = b"exec" if status.st_mode & 0o100 else b"file"
            content = file_digest(path).digest()
        else:
            continue
        checksum.update(b"\0".join([os.fsencode(name), kind_of, content]) + b"\n")
    return checksum.hexdigest()


def file_digest(path: str) -> hashlib._Hash:
    """SHA-256 of a file's content."""
    checksum = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            checksum.update(block)
    return checksum


def pack_folder(folder: str, names: list[str], archive: str) -> None:
    """Write the named files of a folder to a tar archive."""
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path) or os.path.isfile(path):
                tar.add(path, arcname=name, recursive=False)


def require_archive(path: str, shown_as: str) -> None:
    """Raise SourceError unless the file is an archive that can be unpacked."""
    if not (tarfile.is_tarfile(path) or zipfile.is_zipfile(path)):
        raise SourceError(f"source {shown_as} is no archive; give a .tar.gz or .zip file, a folder, or a Git URL")


def archive_names(path: str) -> list[str]:
    """The names that an archive holds."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as bundle:
            return bundle.namelist()
    with tarfile.open(path) as tar:
        return tar.getnames()


def unpack(archive: str, target: str) -> None:
    """Unpack an archive into an empty folder; a single top folder, as code hosts make, is left out."""
    require_archive(archive, archive)
    if zipfile.is_zipfile(archive):
        _unpack_zip(archive, target)
    else:
        with tarfile.open(archive) as tar:
            unpack_tar(tar, target)
    _lift_single_folder(target)


def unpack_tar(tar: tarfile.TarFile, target: str) -> None:
    """Unpack regular files, folders and links of a tar stream, nothing that leads out of the target."""
    for member in tar:
        path = _inside(target, member.name)
        if member.isdir():
            os.makedirs(path, exist_ok=True)
        elif member.isfile():
            data = tar.extractfile(member)
            _write(path, data.read if data else lambda _size: b"", executable=bool(member.mode & 0o100))
        elif member.issym():
            _make_room(path)
            os.symlink(member.linkname, path)
        elif member.islnk():
            original = os.path.realpath(_inside(target, member.linkname))
            _make_room(path)
            os.link(original, path)
        elif member.type not in (tarfile.XGLTYPE, tarfile.XHDTYPE):
            raise SourceError(f"the archive holds {member.name}, which is neither file, folder nor link")
    _check_links(target)


def _unpack_zip(archive: str, target: str) -> None:
    with zipfile.ZipFile(archive) as bundle:
        for member in bundle.infolist():
            path = _inside(target, member.filename)
            mode = member.external_attr >> 16
            if member.is_dir():
                os.makedirs(path, exist_ok=True)
            elif stat.S_ISLNK(mode):
                _make_room(path)
                os.symlink(os.fsdecode(bundle.read(member)), path)
            else:
                with bundle.open(member) as data:
                    _write(path, data.read, executable=bool(mode & 0o100))
    _check_links(target)


def hand_over(sources: str, group: int) -> None:
    """Root owns the code, the app's group may read it, nobody else sees it."""
    for parent, folders, names in os.walk(sources):
        os.chown(parent, 0, group)
        os.chmod(parent, 0o750)
        if not folders and len(names) == 1 and names[0] in _PLACEHOLDERS:
            os.unlink(os.path.join(parent, names.pop()))  # Git cannot hold the empty folder that is meant
        for name in names:
            path = os.path.join(parent, name)
            os.chown(path, 0, group, follow_symlinks=False)
            if not os.path.islink(path):
                os.chmod(path, 0o750 if os.stat(path).st_mode & 0o100 else 0o640)


def _inside(target: str, name: str) -> str:
    """The path of a member, where following it, through links that were unpacked before it too, stays in the target."""
    path = os.path.join(target, name)
    real, top = os.path.realpath(path), os.path.realpath(target)
    if os.path.isabs(name) or ".." in name.split("/") or (real != top and not real.startswith(top + os.sep)):
        raise SourceError(f"the archive names {name}, which lies outside of it; it is not unpacked")
    return os.path.normpath(path)


def _check_links(target: str) -> None:
    """A link may be harmless until a later member changes what it leads through, so look when all are there."""
    top = os.path.realpath(target)
    for parent, folders, names in os.walk(target):
        for name in [*folders, *names]:
            path = os.path.join(parent, name)
            real = os.path.realpath(path)
            if os.path.islink(path) and real != top and not real.startswith(top + os.sep):
                raise SourceError(
                    f"the archive has the link {os.path.relpath(path, target)} to {os.readlink(path)}, "
                    f"which lies outside of it; it is not unpacked"
                )


def _make_room(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)


def _write(path: str, read: Callable[[int], bytes], *, executable: bool) -> None:
    _make_room(path)
    with open(path, "wb") as handle:
        while block := read(1 << 20):
            handle.write(block)
    os.chmod(path, 0o755 if executable else 0o644)


def _lift_single_folder(target: str) -> None:
    entries = os.listdir(target)
    if len(entries) != 1 or os.path.exists(os.path.join(target, "manage.py")):
        return
    top = os.path.join(target, entries[0])
    if os.path.islink(top) or not os.path.isdir(top):
        return
    moved = f"{target}.lift"
    os.rename(top, moved)
    os.rmdir(target)
    os.rename(moved, target)
