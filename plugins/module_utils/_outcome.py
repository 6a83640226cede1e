# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What is noted of a release that went live, or did not: a line of the app's history, and a mark on one that failed."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import remove_values
from ansible_collections.emperor.web.plugins.module_utils._files import explain_os_error, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._lock import VARIABLE, Lock
from ansible_collections.emperor.web.plugins.module_utils._release import Layout, release_of


def record(layout: Layout, release: str, entry: dict[str, Any]) -> None:
    """Add what happened to a release to the app's history."""
    known = {"time": round(time.time(), 3), "release": release, "action": "release"}
    if manifest := layout.manifest(release):
        known |= {"revision": manifest.revision, "version": manifest.version}
    layout.record(known | entry)


def mark(layout: Layout, release: str, reason: str, step: str) -> None:
    """Mark a release as failed, until it becomes live."""
    text = json.dumps({"time": round(time.time(), 3), "reason": reason, "step": step}, ensure_ascii=False) + "\n"
    with suppress(OSError):  # the history has it too; what was wrong is said in any case
        write_atomic(layout.failure(release), text, mode=0o640)


def failed_before_switch(
    module: AnsibleModule, environment_file: str | None, *, step: str, reason: str, **more: Any
) -> None:
    """Note that a release failed in a step of its deployment; it is known by the file of its environment.

    Nothing is noted of one that no run deploys: the module may be used alone, or by a rollback. Nor of the live one,
    which an unchanged run looks at again, or whose deployment fails after its switch: it serves.
    """
    found, token = release_of(environment_file), os.environ.get(VARIABLE)
    if not found or module.check_mode:
        return
    layout, release = found
    holder, live = Lock(os.path.basename(layout.root), layout.root).holder(), layout.live()
    if not holder or holder.token != token or live == release or not os.path.exists(layout.pending(release)):
        return
    # Ansible takes secrets out of what a module returns, and this stays on the host.
    reason = remove_values(reason, module.no_log_values).strip().partition("\n")[0]
    mark(layout, release, reason, step)
    entry = {"result": "failed", "reason": reason, "step": step, "previous": live or "", "by": holder.by}
    try:
        record(layout, release, entry | more)
    except OSError as error:
        module.warn(f"{layout.log} could not be written: {explain_os_error(error, layout.root)}")
