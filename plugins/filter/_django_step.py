# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _django_step
short_description: B(Internal) filter that writes the options of one step of a deployment for each app that needs it
version_added: 0.1.0
description:
  - B(This is an internal tool and must only be used from within this collection.)
  - Returns what M(emperor.web.steps) takes as its option C(apps).
author:
  - The emperor.web authors (@emperor-web)
options:
  _input:
    description: Apps as the filter P(emperor.web.django_apps#filter) returns them.
    type: list
    elements: dict
    required: true
  step:
    description: The step.
    type: str
    choices: [source, check, refuse, collectstatic, migrate, switch, tidy, ask, close, open, pause]
    required: true
  sources:
    description:
      - What M(emperor.web.django_release) has returned for these apps, for all steps after it, each with C(app).
      - For V(ask) releases as M(emperor.web.django_release_info) returns them; apps without one are left out.
    type: list
    elements: dict
    default: []
  checks:
    description:
      - What M(emperor.web.django_check) has returned for these apps, for the steps after it, each with C(app).
      - For V(refuse) what P(emperor.web._django_web#filter) has found unfit; apps without that are left out.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show how the apps are checked
  ansible.builtin.debug:
    msg: "{{ apps | emperor.web._django_step('check', builds.results) }}"
"""

RETURN = r"""
_value:
  description: The options by the names of the apps.
  type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.emperor.web.plugins.module_utils._release import project_of
from ansible_collections.emperor.web.plugins.plugin_utils._apps import by_app

# Options of django_release that an app has under the same name.
_SOURCE = (
    "name",
    "root",
    "source",
    "version",
    "deploy_key",
    "known_hosts",
    "project",
    "settings",
    "wsgi",
    "shared_folders",
    "requirements",
    "extras",
    "groups",
    "python_version",
    "environment",
    "uwsgi",
)


def django_step(
    apps: list[dict[str, Any]],
    step: str,
    sources: list[dict[str, Any]] | None = None,
    checks: list[dict[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Options by app, of the apps that need the step."""
    if step not in _STEPS:
        raise AnsibleFilterError(f"_django_step knows no step {step}; there are {', '.join(_STEPS)}")
    built, checked = by_app(sources), by_app(checks)
    options = {app["name"]: _STEPS[step](app, built.get(app["name"], {}), checked.get(app["name"], {})) for app in apps}
    return {name: own for name, own in options.items() if own is not None}


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Without those that have no value, so that the module has its default."""
    return {name: value for name, value in options.items() if value not in (None, "")}


def _source(app: dict[str, Any], source: dict[str, Any], _check: dict[str, Any]) -> dict[str, Any]:
    """What was resolved before is what is built, whatever came to the repository since."""
    return _given({name: app[name] for name in _SOURCE} | {"revision": source.get("revision")})


def _to_do(what: str, app: dict[str, Any], source: dict[str, Any], check: dict[str, Any]) -> bool:
    """Whether the check has foreseen something to do; a hook that ran after it may have changed what it saw."""
    if source["pending"] and app["hooks"]:
        return True
    return check.get("foreseen", {}).get(what, True)


def _check(app: dict[str, Any], source: dict[str, Any], _check: dict[str, Any]) -> dict[str, Any]:
    """Without a source it is for a caller that adds it later."""
    where = project_of(source) | {"wsgi": source["wsgi"]} if source else {"user": app["name"]}
    foresee = ["migrate", *(["collectstatic"] if app["collectstatic"] else [])]
    return where | {"accept": app["accept_checks"], "foresee": foresee}


def _refuse(app: dict[str, Any], source: dict[str, Any], check: dict[str, Any]) -> dict[str, Any] | None:
    """The module that has checked them fails with what only the other settings of the app show."""
    return project_of(source) | {"refuse": check["refuse"]} if check else None


def _collectstatic(app: dict[str, Any], source: dict[str, Any], check: dict[str, Any]) -> dict[str, Any] | None:
    wanted = app["collectstatic"] and check.get("project", {}).get("staticfiles", True)
    return project_of(source) if wanted and _to_do("collectstatic", app, source, check) else None


def _migrate(app: dict[str, Any], source: dict[str, Any], check: dict[str, Any]) -> dict[str, Any] | None:
    wanted = check.get("project", {}).get("databases", ["unknown"])
    needed = wanted and _to_do("migrate", app, source, check)
    return project_of(source) | {"allow": app["allow_migrations"]} if needed else None


def _switch(app: dict[str, Any], source: dict[str, Any], _check: dict[str, Any]) -> dict[str, Any]:
    health = app["health"]
    return _given(
        {
            "name": app["name"],
            "root": app["root"],
            "release": source["release"],
            "host": app["domains"][0],
            "script_name": app["script_name"],
            "health_path": health.get("path"),
            "health_status": health.get("status"),
            "health_text": health.get("text"),
            "health_count": health.get("count"),
            "settle": health.get("settle"),
            "https": app["tls"]["tls"] != "off",
            "probation": app["probation"],
            "probation_errors": app["probation_errors"],
            "overlap": app["overlap"],
        }
    )


def _app(app: dict[str, Any], _source: dict[str, Any], _check: dict[str, Any]) -> dict[str, Any]:
    return {"name": app["name"], "root": app["root"]}


def _close(app: dict[str, Any], _source: dict[str, Any], _check: dict[str, Any]) -> dict[str, Any]:
    text = "Nginx closes the site as long as this file is here: emperor.web.maintenance -e state=off\n"
    return {"files": [{"path": f"{app['root']}/maintenance", "content": text}]}


def _open(app: dict[str, Any], _source: dict[str, Any], _check: dict[str, Any]) -> dict[str, Any]:
    return {"files": [{"path": f"{app['root']}/maintenance", "state": "absent"}]}


def _ask(app: dict[str, Any], source: dict[str, Any], _check: dict[str, Any]) -> dict[str, Any] | None:
    return project_of(source) if source else None


_STEPS = {
    "source": _source,
    "check": _check,
    "refuse": _refuse,
    "collectstatic": _collectstatic,
    "migrate": _migrate,
    "switch": _switch,
    "tidy": _app,
    "ask": _ask,
    "close": _close,
    "open": _open,
    "pause": _app,
}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_django_step": django_step}
