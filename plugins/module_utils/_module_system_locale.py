# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.system_locale) does, for itself and for M(emperor.web.settled)."""

from __future__ import annotations

import os
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils import _locale
from ansible_collections.emperor.web.plugins.module_utils._files import has_mode, install, read_text
from ansible_collections.emperor.web.plugins.module_utils._process import run

ARGUMENTS = {
    "default": {"type": "str", "default": "C.UTF-8"},
    "generate": {"type": "list", "elements": "str", "default": []},
    "ssh": {"type": "str", "choices": ["host", "client"], "default": "host"},
}


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Compare, write what differs, generate what is missing, then have it read and prove that it works."""
    module = create(argument_spec=ARGUMENTS, supports_check_mode=True)
    default, ssh = module.params["default"], module.params["ssh"]
    names = list(dict.fromkeys([default, *module.params["generate"]]))
    if problem := _locale.problem_of(names, read_text(_locale.SUPPORTED)):
        module.fail_json(msg=problem)
    files = _locale.wanted_files(default, [name for name in names if name != _locale.BUILT_IN], ssh)
    before = {path: read_text(path) for path in files}
    changed = [
        path
        for path, content in files.items()
        if before[path] != content or (path in _locale.OWN and not has_mode(path, 0o644))
    ]
    diff = [
        {"before_header": path, "after_header": path, "before": before[path] or "", "after": files[path]}
        for path in changed
    ]
    lacking = _locale.missing(names, run(["locale", "-a"], timeout=60).stdout)

    def call(*argv: str) -> None:
        outcome = run(list(argv), timeout=600)
        if outcome.rc:
            module.fail_json(msg=f"{' '.join(argv)} failed: {outcome.last_lines()}", **outcome.report())

    if not module.check_mode:
        for path in changed:
            install(path, files[path], mode=0o644)
        if lacking:
            call("locale-gen")
        if _locale.DEFAULT in changed:
            call("systemctl", "daemon-reload")
        if _locale.SSHD in changed and os.path.exists(_locale.SSHD_UNIT):
            # Where systemd starts sshd for each session, that one reads its files anew.
            call("systemctl", "try-reload-or-restart", "ssh.service")
        if problem := _locale.usable(default):
            module.fail_json(
                msg=f"a program cannot use the locale {default}: {problem}; see whether locale -a lists it"
            )
    changes = [*changed, *(f"{name} generated" for name in lacking)]
    module.exit_json(changed=bool(changes), changes=changes, diff=diff)
