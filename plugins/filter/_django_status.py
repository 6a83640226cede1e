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
    description: What M(emperor.web.django_migrate) has returned in check mode for each app, by M(emperor.web.steps).
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

from ansible_collections.emperor.web.plugins.plugin_utils._apps import by_app
from ansible_collections.emperor.web.plugins.plugin_utils._text import row, words

# Migrations that are named; the first release of a project has dozens.
_SHOWN = 3


def django_status(
    apps: list[dict[str, Any]], domains: dict[str, list[str]], migrations: list[dict[str, Any]]
) -> list[str]:
    """A block of lines for each app."""
    asked = by_app(migrations)
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
        "health": "not asked, as that would wake it" if app["asleep"] else health(app["health"]),
        "migrations": "; ".join(filter(None, [pending(migrations), came_with(app["migrations"])])),
        "vassals": "; ".join(map(vassal, app["vassals"])) or ("asleep" if app["asleep"] else "none runs"),
    }
    failed = [one["release"] for one in app["releases"] if one["failed"]]
    rows |= {"failed": ", ".join(failed)} if failed else {}
    rows |= {"site": "closed for maintenance"} if app["maintenance"] else {}
    rows |= {"lock": ", ".join(f"{key} {value}" for key, value in app["lock"].items())} if app["lock"] else {}
    lines = [row(label, text) for label, text in rows.items()]
    lines += [row("process", process(one)) for one in app["processes"]]
    lines += [row("timer", timer(one)) for one in app["timers"]]
    return [f"{app['name']}  {', '.join(domains)}", *lines]


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
        first_line = str(found.get("msg", "")).strip().partition("\n")[0]
        return f"cannot be asked: {first_line}"
    said = [f"{len(found['plan'])} pending"]
    if found.get("unknown"):
        said.append(f"{len(found['unknown'])} applied that the live release does not have")
    return ", ".join(said)


def came_with(done: list[str]) -> str:
    """What the database got, or lost, on the way to the live release."""
    earlier = f"{len(done) - _SHOWN} others, " if len(done) > _SHOWN else ""
    return f"on the way to it: {earlier}{', '.join(done[-_SHOWN:])}" if done else ""


def vassal(found: dict[str, Any]) -> str:
    """One vassal and its workers."""
    if not found["answers"]:
        return f"{found['release']}: does not answer"
    state = "paused, " if found["paused"] else ""
    return f"{found['release']}: {state}{found['workers']} workers, {found['busy']} busy, {found['waiting']} waiting"


def process(found: dict[str, Any]) -> str:
    """One process, and what it runs."""
    state = found["state"] if found["state"] == "running" else f"NOT RUNNING, {found['state']}"
    restarted = f"restarted {found['restarts']} times" if found["restarts"] else ""
    since = f"since {found['since']}" if found["since"] else found["ended"]
    return words(f"{found['name']}: {state}", since, found["release"], restarted)


def timer(found: dict[str, Any]) -> str:
    """One timer, and how its job ended last."""
    last = f"last {found['last']}" if found["last"] else "has not run yet"
    ended = "still runs" if found["running"] else found["ended"]
    ended = f"FAILED: {ended}" if found["failed"] else ended
    return words(f"{found['name']}: {last}", ended, f"next {found['next'] or 'never'}")


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_django_status": django_status}
