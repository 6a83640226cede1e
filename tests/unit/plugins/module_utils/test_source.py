# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zipfile

import pytest
from ansible_collections.emperor.web.plugins.module_utils._source import (
    SourceError,
    archive_names,
    file_digest,
    folder_files,
    folder_revision,
    kind,
    pack_folder,
    require_archive,
    unpack,
)

from ...folders import tree, write


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://github.com/acme/shop.git", "git"),
        ("https://github.com/acme/shop", "git"),
        ("http://git.example.com:3000/acme/shop.git", "git"),
        ("https://user:token@github.com/acme/shop.git", "git"),
        ("https://example.com/shop-1.0.tar.gz", "url"),
        ("https://example.com/shop.TGZ", "url"),
        ("https://example.com/shop.zip?token=a.b/c", "url"),
        ("https://example.com/download?file=shop.zip", "git"),
        ("ssh://git@github.com/acme/shop.git", "git"),
        ("git://git.example.com/shop.git", "git"),
        ("git+ssh://git@git.example.com/shop.git", "git"),
        ("file:///srv/git/shop.git", "git"),
        ("git@github.com:acme/shop.git", "git"),
        ("deploy@10.0.0.5:/srv/git/shop.git", "git"),
        ("shop", "path"),
        ("./shop", "path"),
        ("../shop-1.0.tar.gz", "path"),
        ("~/projects/shop", "path"),
        ("/home/me/shop.git", "path"),
        ("/home/me/a@b:c", "path"),
        ("folder/me@host:x", "path"),
    ],
)
def test_kind(source, expected):
    assert kind(source) == expected


# Folders.


def test_a_git_work_tree_gives_what_git_does_not_ignore(repository):
    repository.commit({".gitignore": "*.log\n/secrets.py\n", "manage.py": "", "a/gone.py": "", "a/é.py": ""})
    write(repository.path, {"debug.log": "", "secrets.py": "", "new.py": "", "a/link": "->é.py"})
    (repository.path / "a" / "gone.py").unlink()
    assert folder_files(str(repository.path)) == [".gitignore", "a/link", "a/é.py", "manage.py", "new.py"]
    assert folder_files(str(repository.path / "a")) == ["link", "é.py"]


def test_another_folder_gives_all_but_clutter_and_secrets(tmp_path):
    kept = {"manage.py": "", "shop/models.py": "", "shop/.htaccess": "", "static/a.css": "", "env/b": "", "c": "->shop"}
    clutter = [".env", ".venv/x", "venv/x", "node_modules/x/y.js", "shop/__pycache__/m.pyc", "shop/m.pyc", ".tox/x"]
    clutter += [".mypy_cache/x", ".DS_Store", "db.sqlite3", "data/db.sqlite3-wal", ".hg/x", "a/.env"]
    write(tmp_path, kept | dict.fromkeys(clutter, "x"))
    assert folder_files(str(tmp_path)) == sorted(kept)


def test_ignored_files_stay_out_when_git_distrusts_the_folder(repository, monkeypatch):
    """Git refuses a work tree of another user, for example under sudo; that is no reason to send its secrets."""
    repository.commit({".gitignore": "local_secrets.py\n", "manage.py": ""})
    write(repository.path, {"local_secrets.py": "x"})
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    try:
        names = folder_files(str(repository.path))
    except SourceError as error:
        assert "safe.directory" in str(error) or "owner" in str(error)
    else:
        assert "local_secrets.py" not in names


PROJECT = {"manage.py": "#!/usr/bin/env python3\n", "shop/urls.py": "urls = []\n", "current": "->shop"}


def revision(folder) -> str:
    return folder_revision(str(folder), folder_files(str(folder)))


def test_equal_folders_have_equal_revisions(tmp_path):
    write(tmp_path / "a", PROJECT)
    write(tmp_path / "somewhere" / "else", dict(reversed(PROJECT.items())))
    os.utime(tmp_path / "a" / "manage.py", (1, 1))
    (tmp_path / "a" / "shop" / "urls.py").chmod(0o600)
    assert revision(tmp_path / "a") == revision(tmp_path / "somewhere" / "else")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: (folder / "shop/urls.py").write_text("urls = ()\n"), id="content"),
        pytest.param(lambda folder: (folder / "shop/urls.py").rename(folder / "shop/urls2.py"), id="name"),
        pytest.param(lambda folder: (folder / "shop/urls.py").chmod(0o755), id="executable bit"),
        pytest.param(lambda folder: (folder / "new.py").write_text(""), id="one more file"),
        pytest.param(lambda folder: (folder / "current").unlink(), id="one file less"),
        pytest.param(
            lambda folder: ((folder / "current").unlink(), (folder / "current").symlink_to("shop/")),
            id="target of a link",
        ),
        pytest.param(
            lambda folder: ((folder / "current").unlink(), (folder / "current").write_text("shop")),
            id="file for a link",
        ),
    ],
)
def test_a_change_is_another_revision(tmp_path, change):
    write(tmp_path, PROJECT)
    before = revision(tmp_path)
    change(tmp_path)
    assert revision(tmp_path) != before


def test_names_and_contents_cannot_be_exchanged(tmp_path):
    write(tmp_path / "a", {"x": "1", "y": "2"})
    write(tmp_path / "b", {"x": "2", "y": "1"})
    assert revision(tmp_path / "a") != revision(tmp_path / "b")


# Archives.


def tar_of(path, *members, compression="gz"):
    """A tar archive of (name, type, content or target, mode)."""
    with tarfile.open(path, f"w:{compression}") as tar:
        for name, kind_of, content, mode in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind_of, mode
            if kind_of == tarfile.REGTYPE:
                member.size = len(content)
            else:
                member.linkname = content
            tar.addfile(member, io.BytesIO(content.encode()))
    return str(path)


def file_(name, content="x", mode=0o644):
    return name, tarfile.REGTYPE, content, mode


def folder_(name):
    return name, tarfile.DIRTYPE, "", 0o755


def link(name, target):
    return name, tarfile.SYMTYPE, target, 0o777


def hard_link(name, target):
    return name, tarfile.LNKTYPE, target, 0o644


def zip_of(path, *members):
    with zipfile.ZipFile(path, "w") as bundle:
        for name, kind_of, content, mode in members:
            member = zipfile.ZipInfo(name + "/" * (kind_of == tarfile.DIRTYPE))
            file_type = {tarfile.SYMTYPE: stat.S_IFLNK, tarfile.DIRTYPE: stat.S_IFDIR}.get(kind_of, stat.S_IFREG)
            member.external_attr = (file_type | mode) << 16
            bundle.writestr(member, content)
    return str(path)


MAKERS = [pytest.param(tar_of, id="tar"), pytest.param(zip_of, id="zip")]


@pytest.fixture
def target(tmp_path):
    """An empty folder to unpack into, some levels deep, beside something that is no business of an archive."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    path = tmp_path / "a" / "b" / "src"
    path.mkdir(parents=True)
    return path


def outside(tmp_path) -> list[str]:
    """All that is not in the target."""
    found = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    return sorted(name for name in found if not name.startswith("a/b/src/"))


@pytest.mark.parametrize("make", MAKERS)
def test_files_links_and_executable_bits_arrive(tmp_path, target, make):
    members = [file_("manage.py", "#!x", 0o700), folder_("shop"), file_("shop/é.py", "y", 0o600), link("c", "shop")]
    unpack(make(tmp_path / "archive", *members), str(target))
    assert tree(target) == {"manage.py": "#!x", "shop/é.py": "y", "c": "->shop"}
    assert stat.S_IMODE((target / "manage.py").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "shop" / "é.py").stat().st_mode) == 0o644


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz", ""])
def test_every_compression_of_tar_is_read(tmp_path, target, compression):
    unpack(tar_of(tmp_path / "archive", file_("manage.py"), file_("b"), compression=compression), str(target))
    assert tree(target) == {"manage.py": "x", "b": "x"}


def test_hard_links_inside_the_archive_arrive(tmp_path, target):
    unpack(tar_of(tmp_path / "archive", file_("a", "text"), hard_link("b", "a")), str(target))
    assert tree(target) == {"a": "text", "b": "text"}


def test_folders_need_no_entry_of_their_own(tmp_path, target):
    unpack(tar_of(tmp_path / "archive", file_("a/b/c.py"), link("d/e", "../a"), file_("f")), str(target))
    assert tree(target) == {"a/b/c.py": "x", "d/e": "->../a", "f": "x"}


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param(
            [folder_("shop-1.0"), file_("shop-1.0/manage.py"), file_("shop-1.0/x/y")],
            {"manage.py": "x", "x/y": "x"},
            id="as code hosts make it",
        ),
        pytest.param(
            [file_("shop/shop/settings.py"), file_("shop/manage.py")],
            {"shop/settings.py": "x", "manage.py": "x"},
            id="a folder of the same name below",
        ),
        pytest.param(
            [file_("site/manage.py"), file_("README")], {"site/manage.py": "x", "README": "x"}, id="two entries stay"
        ),
        pytest.param([file_("manage.py")], {"manage.py": "x"}, id="a single file stays"),
    ],
)
def test_a_single_top_folder_is_left_out(tmp_path, target, make, members, expected):
    unpack(make(tmp_path / "archive", *members), str(target))
    assert tree(target) == expected
    assert os.listdir(target.parent) == ["src"]


# Depth is no help against these: lexically each name is inside, but the link x leads up first.
CHAIN = [folder_("d/e/f"), link("d/e/f/x", "../../.."), link("up", "d/e/f/x/../../..")]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "members",
    [
        pytest.param([file_("/etc/emperor-test")], id="absolute path"),
        pytest.param([file_("../evil")], id="parent"),
        pytest.param([file_("shop/../../evil")], id="parent further down"),
        pytest.param([folder_("../evil")], id="folder"),
        pytest.param([link("evil", "/etc/passwd")], id="absolute link"),
        pytest.param([link("shop/evil", "../../../outside")], id="relative link"),
        pytest.param([link("evil", ".."), file_("evil/file")], id="file through a link"),
        pytest.param(CHAIN, id="links that each look harmless"),
        pytest.param([*CHAIN, file_("up/evil")], id="file through links that each look harmless"),
        pytest.param([*CHAIN, folder_("up/evil")], id="folder through links that each look harmless"),
    ],
)
def test_nothing_gets_out(tmp_path, target, make, members):
    archive = make(tmp_path / "archive", file_("manage.py"), *members)
    before = outside(tmp_path)
    with pytest.raises(SourceError, match="it is not unpacked"):
        unpack(archive, str(target))
    assert outside(tmp_path) == before


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([hard_link("stolen", "/etc/passwd")], id="absolute"),
        pytest.param([hard_link("stolen", "../../../outside/secret")], id="relative"),
        pytest.param([*CHAIN, hard_link("stolen", "up/outside/secret")], id="through links that each look harmless"),
    ],
)
def test_hard_links_take_nothing_in(tmp_path, target, members):
    """The file behind one would get the owner and mode of the app's code, and the app could read it."""
    with pytest.raises(SourceError, match="it is not unpacked"):
        unpack(tar_of(tmp_path / "archive", *members), str(target))
    assert not (target / "stolen").exists()


@pytest.mark.parametrize("kind_of", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE], ids=["char", "block", "fifo"])
def test_devices_are_refused_by_name(tmp_path, target, kind_of):
    archive = tar_of(tmp_path / "archive", file_("manage.py"), ("dev/evil", kind_of, "", 0o666))
    with pytest.raises(SourceError, match="the archive holds dev/evil, which is neither file, folder nor link"):
        unpack(archive, str(target))


def test_what_is_no_archive_is_refused_with_what_to_give(tmp_path, target):
    (tmp_path / "page.tar.gz").write_text("<!DOCTYPE html>")
    with pytest.raises(
        SourceError, match=r"page.tar.gz is no archive; give a .tar.gz or .zip file, a folder, or a Git"
    ):
        unpack(str(tmp_path / "page.tar.gz"), str(target))
    with pytest.raises(SourceError, match="source https://example.com/x.zip is no archive"):
        require_archive(str(tmp_path / "page.tar.gz"), "https://example.com/x.zip")


@pytest.mark.parametrize("make", MAKERS)
def test_archive_names(tmp_path, make):
    assert archive_names(make(tmp_path / "archive", file_("a/manage.py"), file_("é"))) == ["a/manage.py", "é"]


def test_a_packed_folder_unpacks_to_the_same_revision(tmp_path, target):
    write(tmp_path / "project", PROJECT | {"left/out.py": "x"})
    names = [name for name in folder_files(str(tmp_path / "project")) if name != "left/out.py"]
    pack_folder(str(tmp_path / "project"), names, str(tmp_path / "archive"))
    unpack(str(tmp_path / "archive"), str(target))
    assert tree(target) == PROJECT
    assert revision(target) == folder_revision(str(tmp_path / "project"), names)


def test_file_digest_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc" * 1_000_000)
    assert file_digest(str(tmp_path / "file")).hexdigest() == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
