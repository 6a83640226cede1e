# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Links in place of folders of a release, and what they would hide."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils._linked_folders import (
    is_right,
    lead,
    problem_of,
    share,
    shared_problem,
)
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError


def link(path, target="/srv/shop/shared/media", name="MEDIA_ROOT of shop", merge=False):
    return {"path": str(path), "target": str(target), "name": name, "merge": merge}


@pytest.mark.parametrize(
    ("links", "problem"),
    [
        ([link("/nowhere/a"), link("/nowhere/b")], ""),
        ([link("media")], "path 'media' has to be absolute"),
        ([link("/nowhere/a", "media")], "target 'media' has to be absolute"),
        (
            [link("/nowhere/a"), link("/nowhere/x/../a", name="STATIC_ROOT of shop")],
            "MEDIA_ROOT of shop and STATIC_ROOT of shop are the same folder; each needs one of its own",
        ),
    ],
)
def test_problem_of_the_input(links, problem):
    assert problem_of(links) == problem


@pytest.mark.parametrize("there", ["nothing", "empty folder", "placeholders", "other link", "link to nowhere"])
def test_link_takes_the_place_of_what_holds_nothing(tmp_path, there):
    path, target = tmp_path / "media", tmp_path / "shared"
    target.mkdir(mode=0o750)
    if there == "empty folder":
        path.mkdir()
    elif there == "placeholders":
        (path / "photos").mkdir(parents=True)
        (path / ".gitkeep").touch()
        (path / "photos/.gitignore").write_text("*\n")
    elif there == "other link":
        path.symlink_to(tmp_path)
    elif there == "link to nowhere":
        path.symlink_to(tmp_path / "nowhere")
    wanted = link(path, target)
    assert problem_of([wanted]) == ""
    assert not is_right(wanted)
    before = target.stat()
    lead(wanted)
    assert is_right(wanted)
    assert sorted(os.listdir(tmp_path)) == ["media", "shared"]
    now = target.stat()
    assert (now.st_uid, now.st_gid, now.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


def test_files_are_not_hidden(tmp_path):
    for name in ("a.jpg", "b.jpg", "c/d.jpg", "c/e.jpg"):
        (tmp_path / "media" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "media" / name).touch()
    found = problem_of([link(tmp_path / "media")])
    assert found.startswith(
        f"MEDIA_ROOT of shop is {tmp_path}/media, where the sources have files (a.jpg, b.jpg, c/d.jpg"
    )
    assert " and 1 more), which a link to /srv/shop/shared/media would hide; take them out of the sources" in found


def test_files_are_merged_into_the_target_and_replace_none(tmp_path):
    path, target = tmp_path / "media", tmp_path / "shared"
    for name, text in {"new.jpg": "new", "kept.jpg": "theirs", "deep/er/x é": "x", "deep/.gitkeep": ""}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    (path / "broken").symlink_to("nowhere")
    target.mkdir()
    (target / "kept.jpg").write_text("ours")
    wanted = link(path, target, merge=True)
    assert problem_of([wanted]) == ""
    lead(wanted)
    assert is_right(wanted)
    assert {str(file.relative_to(target)): file.read_text() for file in target.rglob("*") if file.is_file()} == {
        "new.jpg": "new",
        "kept.jpg": "ours",
        "deep/er/x é": "x",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_merged_files_are_written_with_the_rights_of_the_targets_owner_only(monkeypatch):
    """An app may put a link into its own folder that leads to where only root may write."""
    monkeypatch.setattr(sys, "executable", shutil.which("python3", path="/usr/bin:/usr/local/bin"))
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own are closed to others
    try:
        folder.chmod(0o755)
        for name in ("media/photos", "shared", "root"):
            (folder / name).mkdir(parents=True)
        (folder / "media/photos/a.jpg").touch()
        os.chown(folder / "shared", 65534, 65534)
        (folder / "shared/photos").symlink_to(folder / "root")
        with pytest.raises(OSError, match=r"user nobody cannot copy the files of .*Permission denied"):
            lead(link(folder / "media", folder / "shared", merge=True))
        assert os.listdir(folder / "root") == []
        (folder / "shared/photos").unlink()
        lead(link(folder / "media", folder / "shared", merge=True))
        state = (folder / "shared/photos/a.jpg").stat()
        assert (state.st_uid, stat.S_IMODE(state.st_mode)) == (65534, 0o644)
    finally:
        shutil.rmtree(folder)


def test_there_has_to_be_something_to_merge_into(tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media/a.jpg").touch()
    found = problem_of([link(tmp_path / "media", tmp_path / "shared", merge=True)])
    assert found == f"MEDIA_ROOT of shop: {tmp_path}/shared is no folder, so nothing can be copied to it"


def test_a_file_is_not_replaced(tmp_path):
    (tmp_path / "media").touch()
    assert "which is a file in the sources" in problem_of([link(tmp_path / "media")])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folders_above_are_made_as_the_one_that_is_there(tmp_path):
    tmp_path.chmod(0o750)
    os.chown(tmp_path, 0, 65534)
    lead(link(tmp_path / "public/files/media"))
    for name in ("public", "public/files"):
        state = (tmp_path / name).stat()
        assert (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid) == (0o750, 0, 65534)
    assert os.readlink(tmp_path / "public/files/media") == "/srv/shop/shared/media"


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], ""),
        (["data", "var/log", "var/cache", "data-of-users"], ""),
        (["/data"], "shared_folders has '/data'; write folders relative to the top of the sources"),
        (["../data"], "shared_folders has '../data'"),
        (["data/../.."], "shared_folders has 'data/../..'"),
        (["data/"], "shared_folders has 'data/'"),
        (["."], "shared_folders has '.'"),
        ([""], "shared_folders has ''"),
        (["data", "data"], "shared_folders has data twice"),
        (["var/log", "var"], "shared_folders has var/log twice, as a part of var"),
    ],
)
def test_names_of_shared_folders(names, problem):
    found = shared_problem(names)
    assert found.startswith(problem) if problem else found == ""


def test_shared_folders_outlive_releases(tmp_path):
    user = pwd.getpwuid(os.geteuid()).pw_name
    shared = tmp_path / "shared"
    shared.mkdir()

    def release(number: int, text: str, *, dry_run: bool = False) -> tuple[Path, bool]:
        sources = tmp_path / f"releases/{number}/src"
        (sources / "data").mkdir(parents=True, exist_ok=True)
        if not (sources / "data").is_symlink():
            (sources / "data/default.json").write_text(text)
        return sources, share(["data", "var/log"], str(sources), str(shared), user, dry_run)

    assert release(1, "one", dry_run=True)[1] is True
    assert os.listdir(shared) == []
    first, changed = release(1, "one")
    assert changed
    (first / "data/db.sqlite3").write_text("rows")
    (first / "var/log/app.log").write_text("line")
    assert release(1, "one")[1] is False
    second, changed = release(2, "two")
    assert changed
    assert (second / "data/db.sqlite3").read_text() == "rows"
    assert (second / "var/log/app.log").read_text() == "line"
    assert (second / "data/default.json").read_text() == "one", "what is there stays"
    (second / "data").unlink()
    assert release(2, "two")[1] is True, "a link that is lost is made again"


def test_a_file_is_no_shared_folder(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "src/data").touch()
    with pytest.raises(SourceError, match=r"data of shared_folders is .*/src/data, which is a file in the sources"):
        share(["data"], str(tmp_path / "src"), str(tmp_path / "shared"), pwd.getpwuid(os.geteuid()).pw_name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_nothing_is_merged_through_a_link_of_the_app(tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media/a.jpg").touch()
    (tmp_path / "etc").mkdir()
    (tmp_path / "shared").symlink_to("etc")
    os.chown(tmp_path / "shared", 65534, 65534, follow_symlinks=False)
    with pytest.raises(PermissionError, match="is not followed"):
        lead(link(tmp_path / "media", tmp_path / "shared", merge=True))
    assert os.listdir(tmp_path / "etc") == []
    assert os.listdir(tmp_path / "media") == ["a.jpg"]
