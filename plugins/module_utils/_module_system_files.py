# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.system_files) does, for itself and for M(emperor.web.settled)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._files import explain_os_error, install, read_text
from ansible_collections.emperor.web.plugins.module_utils._reload import Reload

ARGUMENTS = {
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "path", "required": True},
            "content": {"type": "str"},
            "mode": {"type": "str", "default": "0644"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        "required_if": [("state", "present", ("content",))],
    },
    "reload": {"type": "str", "default": ""},
}


def problem_of(files: list[dict[str, str]]) -> str:
    """What is wrong with the input; empty where nothing is."""
    for file in files:
        if not os.path.isabs(file["path"]):
            return f"path {file['path']!r} has to be absolute"
        if not re.fullmatch(r"0?[0-7]{3}", file["mode"]):
            return f"mode {file['mode']!r} of {file['path']} is no octal number; write it as '0644'"
    paths = [os.path.normpath(file["path"]) for file in files]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    return f"{', '.join(twice)} is given twice" if twice else ""


def is_right(file: dict[str, str], owner: int) -> bool:
    """Whether a file is a plain one with this content, these permissions and this owner; or gone, if it is to go."""
    if file["state"] == "absent":
        return not os.path.lexists(file["path"])
    try:
        state = os.lstat(file["path"])
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(state.st_mode):
        return False
    rights = (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid)
    return rights == (int(file["mode"], 8), owner, owner) and read_text(file["path"]) == file["content"]


def write(file: dict[str, str], owner: int) -> None:
    """Put a file in its place, or take it away."""
    if file["state"] == "absent":
        os.unlink(file["path"])
        return
    install(file["path"], file["content"], mode=int(file["mode"], 8), owner=owner)


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Compare all, then write what differs."""
    module = create(argument_spec=ARGUMENTS, supports_check_mode=True)
    files, owner = module.params["files"], os.geteuid()
    if problem := problem_of(files):
        module.fail_json(msg=problem)
    reload = Reload(module.params["reload"])
    due = reload.is_due()
    try:
        wrong = [file for file in files if not is_right(file, owner)]
        diff = [
            {
                "before_header": file["path"],
                "after_header": f"{file['path']} ({file['mode'] if file['state'] == 'present' else 'absent'})",
                "before": read_text(file["path"]) or "",
                "after": file["content"] if file["state"] == "present" else "",
            }
            for file in wrong
        ]
        if due:
            diff.append({"before": f"to be run since an earlier run: {reload.command}\n", "after": ""})
        if wrong and not module.check_mode:
            reload.announce()
            for file in wrong:
                write(file, owner)
    except OSError as error:
        module.fail_json(msg=explain_os_error(error, *{os.path.dirname(file["path"]) for file in files}))
    if (wrong or due) and reload.command and not module.check_mode:
        outcome = reload.perform()
        if outcome.rc:
            msg = f"the files are written, but {reload.command} failed, and the next run tries it again"
            module.fail_json(msg=f"{msg}: {outcome.last_lines()}", **outcome.report())
    module.exit_json(changed=bool(wrong or due), files=[file["path"] for file in wrong], diff=diff)
