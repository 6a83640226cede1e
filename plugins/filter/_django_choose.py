# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _django_choose
short_description: B(Internal) filter that chooses which of the host's apps a playbook is about
version_added: 0.1.0
description:
  - B(This is an internal tool and must only be used from within this collection.)
  - Refuses a name that the host does not have, with those that it has.
author:
  - The emperor.web authors (@emperor-web)
options:
  _input:
    description: Names of the host's apps.
    type: list
    elements: str
    required: true
  app:
    description: Names that were asked for, separated by commas; empty for all.
    type: str
    required: true
  one:
    description: Whether it has to be one app.
    type: bool
    default: false
  live:
    description:
      - The C(apps) that M(emperor.web.django_release_info) has found, for what needs a live release of an app.
    type: list
    elements: dict
"""

EXAMPLES = r"""
- name: Show which apps are meant
  ansible.builtin.debug:
    msg: "{{ ['shop', 'blog'] | emperor.web._django_choose('shop') }}"
"""

RETURN = r"""
_value:
  description: Names of the chosen apps.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleFilterError


def django_choose(names: list[str], app: str, one: bool = False, live: list[dict[str, Any]] | None = None) -> list[str]:
    """The names that were asked for, all unless there are any."""
    asked = [name.strip() for name in str(app or "").split(",") if name.strip()]
    there = ", ".join(names)
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise AnsibleFilterError(f"app {unknown[0]} is not among the apps of this host; it has {there}")
    chosen = asked or list(names)
    if one and len(chosen) != 1:
        raise AnsibleFilterError(f"say which app is meant, with -e app=NAME; this host has {there}")
    absent = [found["name"] for found in live or [] if found["name"] in chosen and not found["live"]]
    if absent:
        raise AnsibleFilterError(f"no release of {', '.join(absent)} is live, so there is no site; deploy it first")
    return chosen


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_django_choose": django_choose}
