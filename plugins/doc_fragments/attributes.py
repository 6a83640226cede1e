# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What each module of the collection promises about modes and platforms."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Predicts the same RV(ignore:changed) as the real run, without changing anything.
    support: full
  diff_mode:
    description: Shows what has changed, or would change in check mode.
    support: full
  idempotent:
    description: A second run with the same arguments changes nothing, unless something else changed the host.
    support: full
  platform:
    description: The systems that the module runs on.
    support: full
    platforms: posix
"""

    ACTION = r"""
options: {}
attributes:
  action:
    description: An action plugin on the controller takes part, for the deploy lock and for sources that are there.
    support: full
"""
