#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: system_locale
short_description: Give every login, job and service of a host a UTF-8 locale that exists
version_added: 0.1.0
description:
  - Generates locales, makes one the system's default (C(/etc/default/locale)), takes C(LANG), C(LANGUAGE) and C(LC_*)
    out of C(/etc/environment), and sets the host's locale over what SSH clients send. C(LC_ALL) is set nowhere.
  - systemd and sshd read what has changed; open sessions keep what they have.
  - At the end a program starts in the default locale, as proof.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
requirements:
  - The Debian package C(locales), for locales other than V(C.UTF-8).
options:
  default:
    description:
      - Locale of the system. It has to be a UTF-8 one, and is generated unless it is V(C.UTF-8), which every host has.
    type: str
    default: C.UTF-8
  generate:
    description: More UTF-8 locales to generate. One that is not given any more stays.
    type: list
    elements: str
    default: []
  ssh:
    description:
      - V(host) gives SSH sessions the host's locale, whatever the client sends, by a drop-in for C(sshd).
      - V(client) leaves that to the client, which may then bring a locale that does not exist here.
    type: str
    choices: [host, client]
    default: host
"""

EXAMPLES = r"""
- name: Have programs speak English and write UTF-8
  emperor.web.system_locale:
    default: C.UTF-8

- name: Have dates and sorting in German, and Korean for one project
  emperor.web.system_locale:
    default: de_DE.UTF-8
    generate: [ko_KR.UTF-8]

- name: Leave the locale of SSH sessions to the clients
  emperor.web.system_locale:
    ssh: client
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/locale.gen, de_DE.UTF-8 generated, /etc/default/locale]
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils import _locale
from ansible_collections.emperor.web.plugins.module_utils._files import has_mode, install, read_text
from ansible_collections.emperor.web.plugins.module_utils._process import run

ARGUMENTS = {
    "default": {"type": "str", "default": "C.UTF-8"},
    "generate": {"type": "list", "elements": "str", "default": []},
    "ssh": {"type": "str", "choices": ["host", "client"], "default": "host"},
}


def main() -> None:
    """Compare, write what differs, generate what is missing, then have it read and prove that it works."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
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


if __name__ == "__main__":
    main()
