# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The error of all that makes a set of configuration files count."""

from __future__ import annotations

from ansible_collections.emperor.web.plugins.module_utils._process import Result


class ConfigError(Exception):
    """The files, or the service that reads them, cannot be as wanted; the message says what is in place now."""

    def __init__(self, message: str, outcome: Result | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome
