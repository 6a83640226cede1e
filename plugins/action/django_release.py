# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of django_release: sources that are here, and logins that no log may show."""

from __future__ import annotations

from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._source import SourceError
from ansible_collections.emperor.web.plugins.plugin_utils._release import ReleaseAction


class ActionModule(ReleaseAction):
    """Send a local folder or archive only to a host that does not have its content yet."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module, once more with the sources when it has to build them."""
        result = super().run(tmp, task_vars)
        try:
            return result | self.release_each({"": dict(self._task.args)}, self.alone(task_vars))[""]
        except SourceError as error:
            return result | {"failed": True, "msg": str(error)}
