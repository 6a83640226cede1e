# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Links in a release that lead to folders which outlive it."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import sys
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._files import open_folder, replace_link
from ansible_collections.emperor.web.plugins.module_utils._process import run
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError

# Files by which a repository keeps an empty folder.
PLACEHOLDERS = (".gitkeep", ".gitignore", ".keep")
# The owner of the target runs it: a link that is in there leads nobody to what that user may not write.
COPY = """
import json, os, shutil, sys
source, target, names = json.load(sys.stdin)
for name in names:
    place = os.path.join(target, name)
    folder, last = os.path.split(place)
    half = os.path.join(folder, f".{last}.tmp")
    os.makedirs(folder, exist_ok=True)
    if os.path.lexists(place) or not os.path.isfile(os.path.join(source, name)):
        continue
    shutil.copyfile(os.path.join(source, name), half)
    os.rename(half, place)
"""


def problem_of(links: list[dict[str, Any]]) -> str:
    """What is wrong with the input, or in the way on the host; empty where nothing is."""
    for link in links:
        for key in ("path", "target"):
            if not os.path.isabs(link[key]):
                return f"{key} {link[key]!r} has to be absolute"
    paths = [os.path.normpath(link["path"]) for link in links]
    twice = [link["name"] or path for link, path in zip(links, paths, strict=True) if paths.count(path) > 1]
    if twice:
        return f"{' and '.join(twice)} are the same folder; each needs one of its own"
    return "; ".join(filter(None, map(obstacle, links)))


def obstacle(link: dict[str, Any]) -> str:
    """What a link would hide; empty where there is nothing but an empty folder or another link."""
    path, subject = link["path"], link["name"] or "the link"
    if os.path.islink(path) or not os.path.lexists(path):
        return ""
    if not os.path.isdir(path):
        return f"{subject} is {path}, which is a file in the sources; name another folder"
    found = files_in(path)
    if not found:
        return ""
    if link["merge"]:
        return (
            ""
            if os.path.isdir(link["target"])
            else f"{subject}: {link['target']} is no folder, so nothing can be copied to it"
        )
    shown = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    return (
        f"{subject} is {path}, where the sources have files ({shown}), which a link to {link['target']} would hide; "
        f"take them out of the sources, or name another folder"
    )


def files_in(path: str) -> list[str]:
    """The files below a folder that are more than placeholders, relative to it."""
    return sorted(
        os.path.relpath(os.path.join(folder, name), path)
        for folder, _folders, names in os.walk(path)
        for name in names
        if name not in PLACEHOLDERS
    )


def is_right(link: dict[str, Any]) -> bool:
    """Whether the link is there and leads to its target."""
    return os.path.islink(link["path"]) and os.readlink(link["path"]) == link["target"]


def lead(link: dict[str, Any]) -> None:
    """Put a link in place of nothing, an empty folder or another link."""
    path = link["path"]
    if os.path.isdir(path) and not os.path.islink(path):
        merge(path, link["target"])
        shutil.rmtree(path)
    make_folder(os.path.dirname(path))
    replace_link(path, link["target"])


def merge(path: str, target: str) -> None:
    """Copy the files of a folder that the target lacks."""
    if not (names := files_in(path)):
        return
    folder = open_folder(target)
    owner = pwd.getpwuid(os.fstat(folder).st_uid).pw_name
    os.close(folder)
    done = run([sys.executable, "-c", COPY], user=owner, stdin=json.dumps([path, target, names]))
    if done.rc:
        raise OSError(f"user {owner} cannot copy the files of {path} to {target}: {done.last_lines(1)}")


def make_folder(path: str) -> None:
    """A folder with owner, group and mode of the one that it is in."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    make_folder(above)
    state = os.stat(above)
    os.mkdir(path)
    os.chown(path, state.st_uid, state.st_gid)
    os.chmod(path, stat.S_IMODE(state.st_mode))


# Folders that an app names itself.


def shared_problem(names: list[str]) -> str:
    """What is wrong with names of shared folders; empty where nothing is."""
    for name in names:
        if not name or os.path.isabs(name) or os.path.normpath(name) != name or name.split("/")[0] in (".", ".."):
            return (
                f"shared_folders has {name!r}; write folders relative to the top of the sources and without dots, "
                f"for example data or var/log"
            )
    for name in names:
        above = [other for other in names if name != other and name.startswith(f"{other}/")]
        if above or names.count(name) > 1:
            return f"shared_folders has {name} twice, as a part of {(above or [name])[0]}"
    return ""


def share(names: list[str], sources: str, shared: str, user: str, dry_run: bool = False) -> bool:
    """Have folders of the sources be those of that name among the app's; True when something was changed."""
    links: list[dict[str, Any]] = [
        {"path": f"{sources}/{name}", "target": f"{shared}/{name}", "name": f"{name} of shared_folders", "merge": True}
        for name in names
    ]
    missing = [link["target"] for link in links if not os.path.isdir(link["target"])]
    wrong = [link for link in links if not is_right(link)]
    if not dry_run:
        if missing:
            # The app's user does it, who may put links there.
            made = run(["mkdir", "-p", "--", *missing], user=user, umask=0o027)
            if made.rc:
                raise SourceError(f"shared_folders: {made.last_lines(1)}")
        if problem := problem_of(wrong):
            raise SourceError(problem)
        for link in wrong:
            lead(link)
    return bool(missing or wrong)
