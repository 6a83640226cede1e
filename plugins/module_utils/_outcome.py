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
from ansible_collections.emperor.web.plugins.module_utils._files import explain_os_error, read_text, write_atomic
from ansible_collections.emperor.web.plugins.module_utils._lock import VARIABLE, Holder, Lock
from ansible_collections.emperor.web.plugins.module_utils._release import Layout, migration_names, release_of


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


def on_its_way(module: AnsibleModule, environment_file: str | None) -> tuple[Layout, str, Holder] | None:
    """The release that this run is about to make live, known by the file of its environment, and who the run is.

    None where no run deploys it: the module may be used alone, or by a rollback. Nor is it the live one, which an
    unchanged run looks at again, or whose deployment fails after its switch: it serves.
    """
    found, token = release_of(environment_file), os.environ.get(VARIABLE)
    if not found or module.check_mode:
        return None
    layout, release = found
    holder = Lock(os.path.basename(layout.root), layout.root).holder()
    if not holder or holder.token != token or layout.live() == release or not os.path.exists(layout.pending(release)):
        return None
    return layout, release, holder


def note_migrations(module: AnsibleModule, environment_file: str | None, done: list[dict[str, Any]]) -> None:
    """Keep what was done to the database, for the history, should a later step of this run fail."""
    if done and (found := on_its_way(module, environment_file)):
        layout, release, holder = found
        names = [*noted_migrations(layout, release, holder), *migration_names(done)]
        with suppress(OSError):  # they are applied all the same
            write_atomic(layout.pending(release), json.dumps({"deploy": holder.token, "migrations": names}) + "\n")


def noted_migrations(layout: Layout, release: str, holder: Holder) -> list[str]:
    """What this run has noted; what another one has done is in that one's line of the history."""
    text = read_text(layout.pending(release))
    note = json.loads(text) if text else {}
    return note["migrations"] if note.get("deploy") == holder.token else []


def failed_before_switch(
    module: AnsibleModule, environment_file: str | None, *, step: str, reason: str, **more: Any
) -> None:
    """Note that a release which is being deployed failed in a step."""
    found = on_its_way(module, environment_file)
    if not found:
        return
    layout, release, holder = found
    # Ansible takes secrets out of what a module returns, and this stays on the host.
    reason = remove_values(reason, module.no_log_values).strip().partition("\n")[0]
    mark(layout, release, reason, step)
    entry: dict[str, Any] = {"result": "failed", "reason": reason, "step": step, "by": holder.by}
    entry["previous"] = layout.live() or ""
    if before := noted_migrations(layout, release, holder):
        entry["migrations"] = [*before, *more.pop("migrations", [])]
    try:
        record(layout, release, entry | more)
    except OSError as error:
        module.warn(f"{layout.log} could not be written: {explain_os_error(error, layout.root)}")
