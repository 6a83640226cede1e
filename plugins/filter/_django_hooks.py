# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _django_hooks
short_description: B(Internal) filter that writes the steps of a deployment that run hooks of apps
version_added: 0.1.0
description:
  - B(This is an internal tool and must only be used from within this collection.)
  - Returns steps for M(emperor.web.steps), none for a hook that no app has.
author:
  - The emperor.web authors (@emperor-web)
options:
  _input:
    description: Apps as the filter P(emperor.web.django_apps#filter) returns them.
    type: list
    elements: dict
    required: true
  names:
    description: Names of hooks, as in O(emperor.web.django_hook#module:step), in the order in which they are run.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds after which a command is ended.
    type: int
    required: true
  sources:
    description:
      - What M(emperor.web.django_release) has returned for these apps, each with C(app); only apps whose release is not
        live to the end have their hooks run.
      - Without it the hooks take that from a step C(build).
    type: list
    elements: dict
"""

EXAMPLES = r"""
- name: Show the hooks that are run before the switch
  ansible.builtin.debug:
    msg: "{{ apps | emperor.web._django_hooks(['before_switch'], 1800, builds.results) }}"
"""

RETURN = r"""
_value:
  description: The steps.
  type: list
  elements: dict
"""

from typing import Any

from ansible_collections.emperor.web.plugins.plugin_utils._apps import by_app


def django_hooks(
    apps: list[dict[str, Any]], names: list[str], timeout: int, sources: list[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """A step for each hook that one of the apps has."""
    releases = {name: built["release"] for name, built in by_app(sources).items() if built["pending"]}
    steps = []
    for name in names:
        calls = {
            app["name"]: {"name": app["name"], "root": app["root"], "commands": app["hooks"][name]}
            for app in apps
            if name in app["hooks"]
        }
        step = {"name": name, "module": "django_hook", "options": {"step": name, "timeout": timeout, "lock": "run"}}
        if sources is None:
            step |= {"apps": calls, "take": {"build": ["release"]}, "only": {"build": "pending"}}
        else:
            step["apps"] = {app: call | {"release": releases[app]} for app, call in calls.items() if app in releases}
        steps += [step] * bool(step["apps"])
    return steps


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_django_hooks": django_hooks}
