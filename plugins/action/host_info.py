# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of host_info, with which the roles begin: it loads their filters for all tasks that follow."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.emperor.web.plugins.plugin_utils._filters import load_filters

load_filters()


class ActionModule(ActionBase):
    """Run the module, and nothing else."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the module answers."""
        return super().run(tmp, task_vars) | self._execute_module(task_vars=task_vars)
