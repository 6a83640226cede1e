# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import stat
import threading
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils._files import (
    ensure_directory,
    explain_os_error,
    full,
    has_mode,
    read_text,
    replace_link,
    write_atomic,
)


def mode_of(path) -> int:
    return os.stat(path).st_mode & 0o7777


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o755], ids=oct)
def test_the_mode_is_as_given_whatever_the_umask(tmp_path, mode):
    before = os.umask(0o077)
    try:
        write_atomic(str(tmp_path / "file"), "text\n", mode=mode)
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "file") == mode


def test_what_is_read_is_written_back_byte_for_byte(tmp_path):
    data = b"# caf\xe9 latin-1\n" + "é 한글\n".encode()
    (tmp_path / "file").write_bytes(data)
    write_atomic(str(tmp_path / "copy"), read_text(str(tmp_path / "file")))
    assert (tmp_path / "copy").read_bytes() == data


def test_old_content_stays_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "shop.ini"
    path.write_text("old")
    meanwhile = []

    def full(_descriptor):
        meanwhile.extend(sorted(os.listdir(tmp_path)))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(str(path), "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["shop.ini"]
    # While it is written, no daemon's *.ini or *.conf takes it for a file of its own.
    unfinished = [name for name in meanwhile if name != "shop.ini"]
    assert len(unfinished) == 1
    assert unfinished[0].startswith(".") and unfinished[0].endswith(".tmp")


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "file").symlink_to("elsewhere")
    write_atomic(str(tmp_path / "file"), "new")
    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert not (tmp_path / "file").is_symlink()


def test_reading_what_is_not_there_gives_none(tmp_path):
    (tmp_path / "file").write_text("")
    assert read_text(str(tmp_path / "missing")) is None
    assert read_text(str(tmp_path / "file" / "below")) is None
    assert read_text(str(tmp_path / "file")) == ""


def test_a_link_is_made_and_moved(tmp_path):
    link = tmp_path / "current"
    replace_link(str(link), "releases/a")
    replace_link(str(link), "releases/b")
    assert os.readlink(link) == "releases/b"
    assert os.listdir(tmp_path) == ["current"]


def test_a_link_to_a_folder_is_replaced_itself(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    replace_link(str(tmp_path / "current"), "a")
    replace_link(str(tmp_path / "current"), "b")
    assert os.readlink(tmp_path / "current") == "b"
    assert os.listdir(tmp_path / "a") == []


def test_what_an_interrupted_run_left_is_no_obstacle(tmp_path):
    link = tmp_path / "current"
    (tmp_path / f"current.{os.getpid()}.tmp").symlink_to("left")
    replace_link(str(link), "releases/a")
    assert os.readlink(link) == "releases/a"


def test_there_is_a_link_at_every_moment(tmp_path):
    link = tmp_path / "current"
    replace_link(str(link), "a")
    missing, done = [], threading.Event()

    def watch():
        while not done.is_set():
            try:
                os.readlink(link)
            except OSError as error:
                missing.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(500):
        replace_link(str(link), "ab"[number % 2])
    done.set()
    watcher.join()
    assert missing == []


MINE = {"uid": os.getuid(), "gid": os.getgid()}


def test_a_folder_is_made_once(tmp_path):
    path = str(tmp_path / "a" / "b")
    assert ensure_directory(path, mode=0o2750, **MINE)
    assert mode_of(path) == 0o2750
    assert not ensure_directory(path, mode=0o2750, **MINE)


def test_a_mode_that_drifted_is_put_right(tmp_path):
    os.chmod(tmp_path, 0o777)
    assert ensure_directory(str(tmp_path), mode=0o750, **MINE)
    assert mode_of(tmp_path) == 0o750


def test_a_dry_run_tells_and_changes_nothing(tmp_path):
    path = tmp_path / "new"
    assert ensure_directory(str(path), mode=0o750, **MINE, dry_run=True)
    assert not path.exists()
    path.mkdir(mode=0o700)
    assert ensure_directory(str(path), mode=0o750, **MINE, dry_run=True)
    assert mode_of(path) == 0o700
    path.chmod(0o750)
    assert not ensure_directory(str(path), mode=0o750, **MINE, dry_run=True)


@pytest.mark.parametrize(
    ("room", "files", "inodes", "said"),
    [
        (100 << 20, 1000, 500, []),
        (8 << 10, 1000, 500, ["has 8 KB and 500 inodes left"]),
        (100 << 20, 1000, 0, ["has 102400 KB and 0 inodes left"]),
        (100 << 20, 0, 0, []),  # Btrfs counts none
        (0, 0, 0, ["has 0 KB left"]),
    ],
)
def test_a_file_system_without_room_is_found(tmp_path, monkeypatch, room, files, inodes, said):
    state = SimpleNamespace(f_bavail=room // 4096, f_frsize=4096, f_files=files, f_favail=inodes)
    monkeypatch.setattr(os, "statvfs", lambda _path: state)
    assert full(str(tmp_path)) == [f"the file system of {tmp_path} {text}" for text in said]


def test_permissions_are_exact_and_nothing_has_none(tmp_path):
    path = tmp_path / "file"
    path.touch(mode=0o600)
    assert has_mode(str(path), 0o600)
    assert not has_mode(str(path), 0o640)
    assert not has_mode(str(path / "below"), 0o600)
    assert not has_mode(str(tmp_path / "missing"), 0o600)


def test_a_folder_that_is_not_there_is_not_full(tmp_path):
    assert full(str(tmp_path / "missing")) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_room_says_where_and_what_to_do(number):
    said = explain_os_error(OSError(number, os.strerror(number)), "/")
    assert said.startswith(f"{os.strerror(number)}: no room was left below /. Make room there (df -h and df -i")


def test_other_errors_say_what_the_system_says():
    assert explain_os_error(PermissionError(errno.EACCES, "Permission denied", "/x"), "/") == str(
        PermissionError(errno.EACCES, "Permission denied", "/x")
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_link_of_somebody_else_is_not_followed(tmp_path, dry_run):
    """An app owns the folder that its uploads are in, so it may put there what leads to /etc."""
    treasure = tmp_path / "etc"
    treasure.mkdir(mode=0o755)
    (tmp_path / "media").symlink_to("etc")
    os.chown(tmp_path / "media", 65534, 65534, follow_symlinks=False)
    with pytest.raises(PermissionError, match="a link to etc that user 65534 has made is not followed"):
        ensure_directory(str(tmp_path / "media"), mode=0o2750, uid=65534, gid=65534, dry_run=dry_run)
    assert (treasure.stat().st_uid, stat.S_IMODE(treasure.stat().st_mode)) == (0, 0o755)


def test_a_link_of_ones_own_leads_to_the_folder(tmp_path):
    """To another disk, say."""
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "media").symlink_to("disk")
    assert ensure_directory(str(tmp_path / "media"), mode=0o750, **MINE)
    assert stat.S_IMODE((tmp_path / "disk").stat().st_mode) == 0o750
    assert not ensure_directory(str(tmp_path / "media"), mode=0o750, **MINE)
