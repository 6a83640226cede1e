#!/usr/bin/python

# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Tell the system of a host and the packages that it has
version_added: 0.1.0
description:
  - Answers in one task what the roles of this collection ask of each host. M(ansible.builtin.setup) and
    M(ansible.builtin.package_facts) tell far more, and take longer.
  - Changes nothing, and sets no facts.
author:
  - The emperor.web authors (@emperor-web)
extends_documentation_fragment:
  - emperor.web.attributes
attributes:
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Ask the host what it is
  emperor.web.host_info:
  register: host

- name: Refuse an old system
  emperor.web.host_info:
  register: host
  failed_when: host.system.id != 'ubuntu' or host.system.version is version('22.04', '<')

- name: Refuse a host that lacks packages
  emperor.web.host_info:
  register: host
  failed_when: "['git', 'nginx'] | difference(host.packages) | length > 0"
"""

RETURN = r"""
system:
  description: What C(/etc/os-release) says.
  returned: success
  type: dict
  contains:
    id:
      description: The distribution, in lower case; C(linux) when the file does not say.
      type: str
    name:
      description: The distribution, for people.
      type: str
    version:
      description: Number of the release; empty where there is none yet, as in Debian's testing.
      type: str
  sample: {id: ubuntu, name: Ubuntu, version: "24.04"}
systemd:
  description: Whether systemd runs the host.
  returned: success
  type: bool
  sample: true
packages:
  description: Names of the Debian packages that are installed and configured; none where there is no C(dpkg-query).
  returned: success
  type: list
  elements: str
  sample: [adduser, apt, zlib1g]
"""

import os
import platform
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._process import run

QUESTION = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n"]


def system() -> dict[str, str]:
    """Distribution and release."""
    try:
        said = platform.freedesktop_os_release()
    except OSError:
        said = {"ID": "linux", "NAME": "Linux"}
    return {"id": said["ID"], "name": said["NAME"], "version": said.get("VERSION_ID", "")}


def installed(listing: str) -> list[str]:
    """Names of the packages that are whole; one that is there for several architectures counts once."""
    lines = [line.split() for line in listing.splitlines()]
    return sorted({line[1] for line in lines if line[0] == "installed"})


def main() -> None:
    """Read one file, look for one folder, and run one program."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    packages: list[str] = []
    if shutil.which(QUESTION[0]):
        outcome = run(QUESTION, timeout=60)
        if outcome.rc:
            module.fail_json(msg=f"dpkg-query cannot list the packages: {outcome.last_lines()}", **outcome.report())
        packages = installed(outcome.stdout)
    module.exit_json(changed=False, system=system(), systemd=os.path.isdir("/run/systemd/system"), packages=packages)


if __name__ == "__main__":
    main()
