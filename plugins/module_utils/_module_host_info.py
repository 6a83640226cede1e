# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What M(emperor.web.host_info) does, for itself and for M(emperor.web.settled)."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.emperor.web.plugins.module_utils._process import run

# The oldest release of each system that the roles support.
OLDEST = {"debian": "12", "ubuntu": "22.04"}

QUESTION = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n"]


def system() -> dict[str, str]:
    """Distribution and release."""
    try:
        said = platform.freedesktop_os_release()
    except OSError:
        said = {"ID": "linux", "NAME": "Linux"}
    return {"id": said["ID"], "name": said["NAME"], "version": said.get("VERSION_ID", "")}


def problem_of(this: dict[str, str], systemd: bool) -> str:
    """Why the roles do not support a system; empty where they do."""
    oldest, version = OLDEST.get(this["id"]), this["version"]
    # Debian's testing has no number.
    if systemd and oldest and (not version or LooseVersion(version) >= LooseVersion(oldest)):
        return ""
    return (
        f"{this['name']} {version} {'with' if systemd else 'without'} systemd is not supported; use Ubuntu 22.04 or "
        f"later, or Debian 12 or later, with systemd"
    )


def installed(listing: str) -> list[str]:
    """Names of the packages that are whole; one that is there for several architectures counts once."""
    lines = [line.split() for line in listing.splitlines()]
    return sorted({line[1] for line in lines if line[0] == "installed"})


def main(create: Callable[..., AnsibleModule] = AnsibleModule) -> None:
    """Read one file, look for one folder, and run one program."""
    module = create(argument_spec={"refuse_unsupported": {"type": "bool", "default": False}}, supports_check_mode=True)
    this, systemd = system(), os.path.isdir("/run/systemd/system")
    if module.params["refuse_unsupported"] and (problem := problem_of(this, systemd)):
        module.fail_json(msg=problem)
    packages: list[str] = []
    if shutil.which(QUESTION[0]):
        outcome = run(QUESTION, timeout=60)
        if outcome.rc:
            module.fail_json(msg=f"dpkg-query cannot list the packages: {outcome.last_lines()}", **outcome.report())
        packages = installed(outcome.stdout)
    module.exit_json(changed=False, system=this, systemd=systemd, packages=packages)
