# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _django_status
short_description: B(Internal) filter that writes what is known of apps for people
version_added: 0.1.0
description:
  - B(This is an internal tool and must only be used from within this collection.)
author:
  - The emperor.web authors (@emperor-web)
options:
  _input:
    description: Value of RV(emperor.web.django_release_info#module:apps).
    type: list
    elements: dict
    required: true
  domains:
    description: The domains of each app, by its name.
    type: dict
    required: true
  migrations:
    description: Results of a loop with M(emperor.web.django_migrate) in check mode over the apps.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the apps
  ansible.builtin.debug:
    msg: "{{ info.apps | emperor.web._django_status({'shop': ['shop.example.com']}, []) }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: list
  elements: str
"""

from typing import Any


def django_status(
    apps: list[dict[str, Any]], domains: dict[str, list[str]], migrations: list[dict[str, Any]]
) -> list[str]:
    """A block of lines for each app."""
    asked = {one["item"]["app"]: one for one in migrations}
    return [line for app in apps for line in block(app, domains.get(app["name"], []), asked.get(app["name"], {}))]


def block(app: dict[str, Any], domains: list[str], migrations: dict[str, Any]) -> list[str]:
    """What is known of one app."""
    if not app["live"]:
        return [f"{app['name']}  {', '.join(domains)}", row("live", "no release; it has not been deployed")]
    before = next((one for one in app["releases"] if one["release"] == app["previous"]), None)
    rows = {
        "live": words(app["live"], app["version"], f"since {app['since'] or '?'}", f"by {app['by'] or '?'}"),
        "revision": app["revision"],
        "before": words(before["release"], before["version"]) if before else gone(app["previous"]),
        "health": health(app["health"]),
        "migrations": pending(migrations),
        "vassals": "; ".join(map(vassal, app["vassals"])) or "none runs",
    }
    failed = [one["release"] for one in app["releases"] if one["failed"]]
    rows |= {"failed": ", ".join(failed)} if failed else {}
    rows |= {"site": "closed for maintenance"} if app["maintenance"] else {}
    rows |= {"lock": ", ".join(f"{key} {value}" for key, value in app["lock"].items())} if app["lock"] else {}
    return [f"{app['name']}  {', '.join(domains)}", *(row(label, text) for label, text in rows.items())]


def row(label: str, text: str) -> str:
    """One line of a block."""
    return f"  {label:<11}{text}"


def words(*parts: str) -> str:
    """Parts that are there, in one line."""
    return "  ".join(part for part in parts if part)


def gone(previous: str) -> str:
    """What is said of a release before that is not there."""
    return f"{previous}, removed" if previous else "none"


def health(found: dict[str, Any]) -> str:
    """What the live release answered."""
    if not found:
        return "not asked"
    if found["healthy"]:
        return f"well, {found['status']} in {found['seconds']} s"
    return f"NOT WELL: {found['problem']}"


def pending(found: dict[str, Any]) -> str:
    """What the database lacks, or has too much, compared with the live release."""
    if not found:
        return "not asked"
    if "plan" not in found:
        return f"cannot be asked: {first_line(found.get('msg', ''))}"
    said = [f"{len(found['plan'])} pending"]
    if found.get("unknown"):
        said.append(f"{len(found['unknown'])} applied that the live release does not have")
    return ", ".join(said)


def first_line(text: str) -> str:
    """The start of a message."""
    return str(text).strip().partition("\n")[0]


def vassal(found: dict[str, Any]) -> str:
    """One vassal and its workers."""
    if not found["answers"]:
        return f"{found['release']}: does not answer"
    state = "paused, " if found["paused"] else ""
    return f"{found['release']}: {state}{found['workers']} workers, {found['busy']} busy, {found['waiting']} waiting"


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_django_status": django_status}
