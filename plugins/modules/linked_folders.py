#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: linked_folders
short_description: Lead folders of a release to folders that outlive it
version_added: 0.1.0
description:
  - Puts symbolic links where a project expects folders, for uploads say, so that all releases use the same ones.
  - With M(ansible.builtin.file) a placeholder as V(.gitkeep) is in the way, the folder above has to exist, and with its
    default of C(follow) the folder that a link leads to changes its owner.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
options:
  links:
    description: The links.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - Absolute path of the link. Folders above it are made, with owner, group and mode of the one that is there.
          - An empty folder makes room for it, as does one with nothing but V(.gitkeep), V(.gitignore) or V(.keep). A
            file there, or a folder with files, is refused before anything is changed, because the link would hide
            them; see O(links[].merge).
        type: path
        required: true
      target:
        description: Absolute path that the link leads to. It need not exist.
        type: path
        required: true
      merge:
        description:
          - Copy the files of a folder that is in the way to O(links[].target), which has to be there. What is there
            under the same name stays as it is, so that a default picture in the sources never replaces an upload.
          - The copies are made by the owner of the target and belong to it.
        type: bool
        default: false
      name:
        description: What messages call it, the setting for example. The path unless given.
        type: str
        default: ""
"""

EXAMPLES = r"""
- name: Keep uploads and logs over releases
  emperor.web.linked_folders:
    links:
      - path: /opt/shop/releases/7/media
        target: /opt/shop/shared/media
        merge: true
        name: MEDIA_ROOT of shop
      - path: /opt/shop/releases/7/var/log
        target: /opt/shop/shared/log

- name: Let the newest build be the one that is served
  emperor.web.linked_folders:
    links:
      - path: /srv/shop/current
        target: /srv/shop/builds/7

- name: See what would be linked
  emperor.web.linked_folders:
    links: "{{ my_links }}"
  check_mode: true
"""

RETURN = r"""
links:
  description: Paths of the links that were made or led elsewhere, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/opt/shop/releases/7/media]
"""

import json
import os
import pwd
import shutil
import stat
import sys
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._files import explain_os_error, replace_link
from ansible_collections.emperor.web.plugins.module_utils._process import run

ARGUMENTS = {
    "links": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "path", "required": True},
            "target": {"type": "path", "required": True},
            "merge": {"type": "bool", "default": False},
            "name": {"type": "str", "default": ""},
        },
    },
}
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
    twice = [link["name"] or path for link, path in zip(links, paths) if paths.count(path) > 1]
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
    owner = pwd.getpwuid(os.stat(target).st_uid).pw_name
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


def main() -> None:
    """Look at all, then make those that are missing."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    # With a slash at its end a path is what the link leads to.
    links = [link | {"path": link["path"].rstrip("/") or "/"} for link in module.params["links"]]
    try:
        if problem := problem_of(links):
            module.fail_json(msg=problem)
        wrong = [link for link in links if not is_right(link)]
        before = {link["path"]: os.readlink(link["path"]) if os.path.islink(link["path"]) else "" for link in wrong}
        if not module.check_mode:
            for link in wrong:
                lead(link)
    except OSError as error:
        module.fail_json(msg=explain_os_error(error, *{os.path.dirname(link["path"]) for link in links}))
    diff = [
        {
            "before_header": link["path"],
            "after_header": link["path"],
            "before": f"{before[link['path']]}\n" if before[link["path"]] else "",
            "after": f"{link['target']}\n",
        }
        for link in wrong
    ]
    module.exit_json(changed=bool(wrong), links=[link["path"] for link in wrong], diff=diff)


if __name__ == "__main__":
    main()
