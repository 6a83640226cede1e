# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.linked_folders) does, for itself and for M(emperor.web.settled)."""

from __future__ import annotations

import os
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._files import explain_os_error
from ansible_collections.emperor.web.plugins.module_utils._linked_folders import is_right, lead, problem_of

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


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Look at all, then make those that are missing."""
    module = create(argument_spec=ARGUMENTS, supports_check_mode=True)
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
