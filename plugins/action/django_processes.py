# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of django_processes: it tells the module which run this is, for the deploy locks."""

from __future__ import annotations

from ansible_collections.emperor.web.plugins.plugin_utils._deploy import LockedAction


class ActionModule(LockedAction):
    """Run the module under the apps' deploy locks."""
