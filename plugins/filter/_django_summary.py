# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _django_summary
short_description: B(Internal) filter that writes what a deployment has done, for people
version_added: 0.1.0
description:
  - B(This is an internal tool and must only be used from within this collection.)
author:
  - The emperor.web authors (@emperor-web)
options:
  _input:
    description: Apps as the filter P(emperor.web.django_apps#filter) returns them.
    type: list
    elements: dict
    required: true
  steps:
    description: What M(emperor.web.steps) has returned, by the names of the steps, in their order.
    type: dict
    required: true
  check_mode:
    description: Whether nothing was done, but foreseen.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what was done
  ansible.builtin.debug:
    msg: "{{ apps | emperor.web._django_summary({'build': builds, 'check': checks, 'switch': switches}) }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.emperor.web.plugins.plugin_utils._apps import by_app
from ansible_collections.emperor.web.plugins.plugin_utils._text import row, words

_MOST_NAMES = 5


def django_summary(apps: list[dict[str, Any]], steps: dict[str, dict[str, Any]], check_mode: bool = False) -> list[str]:
    """A block of lines for each app."""
    # A step that no app needed was skipped, and has no results.
    found = {step: by_app(answer.get("results")) for step, answer in steps.items()}
    lines = []
    for app in apps:
        lines += block(app, {step: answers.get(app["name"], {}) for step, answers in found.items()}, check_mode)
    return lines


def block(app: dict[str, Any], done: dict[str, dict[str, Any]], check_mode: bool) -> list[str]:
    """What was done for one app."""
    rows = {"release": release(app, done.get("switch", {}), check_mode)}
    migrations = [f"{one['app']}.{one['name']}" for one in done.get("migrate", {}).get("plan", [])]
    if migrations:
        named = ", ".join(migrations[:_MOST_NAMES]) + (", ..." if len(migrations) > _MOST_NAMES else "")
        rows["migrations"] = f"{len(migrations)} {'to apply' if check_mode else 'applied'}: {named}"
    static = sum(len(done.get("static files", {}).get(kind, [])) for kind in ("added", "modified", "deleted"))
    if static:
        rows["static"] = f"{static} files {'to change' if check_mode else 'changed'}"
    if any(answer.get("changed") for answer in done.values()):
        rows["seconds"] = ", ".join(f"{step} {answer['took']:.1f}" for step, answer in done.items() if "took" in answer)
    return [f"{app['name']}  {url(app)}", *(row(label, text) for label, text in rows.items())]


def url(app: dict[str, Any]) -> str:
    """Where visitors find the app."""
    return f"{'http' if app['tls']['tls'] == 'off' else 'https'}://{app['domains'][0]}{app['path']}"


def release(app: dict[str, Any], switch: dict[str, Any], check_mode: bool) -> str:
    """Which release is live, and since when."""
    if not switch.get("changed"):
        return words(switch.get("release", ""), app["version"] or "", "live as before")
    before = switch.get("previous") or "none"
    return words(
        switch["release"], app["version"] or "", "would go live" if check_mode else "live now", f"before it {before}"
    )


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_django_summary": django_summary}
