# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: django_apps
short_description: Check a list of Django apps and fill in what it leaves out
version_added: 0.1.0
description:
  - Refuses names, domains and paths that cannot work, with the entry and what to write in its place.
  - Fills in the paths of each app and the environment variables that follow from its domains.
  - Leaves out those with C(state=absent).
  - The role django uses it for C(django_apps); it is public so that a playbook of your own can check its input early.
author:
  - The emperor.web authors (@emperor-web)
options:
  _input:
    description: The apps, as in the role's C(django_apps).
    type: list
    elements: dict
    required: true
  root:
    description: Folder that has a folder for each app.
    type: path
    default: /srv/django
"""

EXAMPLES = r"""
- name: Show where the apps will be
  ansible.builtin.debug:
    msg: "{{ django_apps | emperor.web.django_apps | map(attribute='root') }}"
"""

RETURN = r"""
_value:
  description: The apps with all their options. Each has an C(environment), so keep the value out of loops and logs.
  type: list
  elements: dict
"""

import ipaddress
import os
import re
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.emperor.web.plugins.module_utils._hooks import STEPS
from ansible_collections.emperor.web.plugins.module_utils._process_units import (
    UnitError,
    celery_environment,
    for_module,
)
from ansible_collections.emperor.web.plugins.module_utils._tls import is_address
from ansible_collections.emperor.web.plugins.plugin_utils import _apps
from ansible_collections.emperor.web.plugins.plugin_utils._unit import emperor_of

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
_STATUSES = r"[1-5]\d\d(-[1-5]\d\d)?"
_HOMES = ("/home", "/root")

_DEFAULTS: dict[str, Any] = {
    "version": None,
    "deploy_key": None,
    "known_hosts": None,
    "project": None,
    "settings": None,
    "wsgi": None,
    "shared_folders": [],
    "requirements": None,
    "extras": [],
    "groups": [],
    "python_version": None,
    "uwsgi": {},
    "accept_checks": [],
    "allow_migrations": [],
    "health": {},
    "probation": 0,
    "probation_errors": 3,
    "overlap": True,
    "hooks": {},
    "collectstatic": True,
    "client_max_body_size": "",
    "canonical": False,
    "rate_limit": {},
    "balancer_check": "",
    "protected_url": "",
    "nginx_config": "",
    "packages": [],
}


def django_apps(apps: Any, root: str = "/srv/django") -> list[dict[str, Any]]:
    """Check and complete a list of apps."""
    if not isinstance(apps, (list, tuple)) or not apps:
        raise AnsibleFilterError(
            "django_apps is empty; give a list with at least a name, a source and the domains of each app"
        )
    _check_root(str(root))
    _apps.absent(apps, str(root))
    completed = [
        _complete(dict(app), number, str(root)) for number, app in enumerate(apps, 1) if not _apps.is_absent(app)
    ]
    _check_unique("name", [(app["name"], app["name"]) for app in completed])
    _check_domains(completed)
    return completed


def _check_root(root: str) -> None:
    if not root.startswith("/"):
        raise AnsibleFilterError(f"django_root: {root} has to be an absolute path, for example /srv/django")
    if any(root == home or root.startswith(f"{home}/") for home in _HOMES):
        raise AnsibleFilterError(
            f"django_root: {root} is below a home directory, where the web server cannot enter; use /srv/django"
        )


def _complete(app: dict[str, Any], number: int, root: str) -> dict[str, Any]:
    for needed in ("name", "source", "domains"):
        if not app.get(needed):
            shown = app.get("name") or f"number {number}"
            raise AnsibleFilterError(f"django_apps: app {shown} has no {needed}; write for example {_sample(needed)}")
    name = str(app["name"])
    _apps.check_name(name)
    given = [app["domains"]] if isinstance(app["domains"], str) else app["domains"]
    domains = [_domain(str(domain), name) for domain in given]
    folder = f"{root.rstrip('/')}/{name}"
    for path in app.get("writable") or []:
        if any(str(path) == home or str(path).startswith(f"{home}/") for home in _HOMES):
            raise AnsibleFilterError(
                f"django_apps: app {name} cannot write to {path}, as home directories are closed to it; "
                f"use {folder}/shared"
            )
    tls = _tls(app.get("tls"), name, domains)
    path = f"/{str(app.get('path') or '').strip('/')}/".replace("//", "/")
    protected_url = _protected_url(app.get("protected_url"), name, path)
    given = {key: value for key, value in app.items() if value is not None}
    environment = {key: value for key, value in (app.get("environment") or {}).items() if value is not None}
    _check_sqlite(name, folder, environment)
    _check_health(name, app)
    sleep = _apps.sleep_seconds(app)
    emperor, units = emperor_of(app, folder), _units(name, folder, app)
    derived = _derived(domains, folder) | celery_environment(units["processes"], folder)
    return _DEFAULTS | given | {
        "name": name,
        "domains": domains,
        "root": folder,
        "path": path,
        "script_name": path.rstrip("/"),
        "protected_url": protected_url,
        "sleep": sleep,
        "environment": derived | _mounted(path) | _protected(protected_url, folder) | environment,
        "hooks": _hooks(app.get("hooks") or {}, name),
        "question": _question(domains, path, app.get("health") or {}),
        "maintenance": _maintenance(name, app.get("maintenance") or {}),
        "error_page": _read(app.get("error_page"), "error page", "an HTML file", name)[1],
        "nginx_template": _read(app.get("nginx_template"), "nginx_template", "a template", name)[0],
        "tls": tls,
        "packages": [*(app.get("packages") or []), *(["certbot"] if tls["tls"] == "acme" else [])],
        "emperor": emperor | {"sleep": sleep},
        "units": units | {key: emperor[key] for key in ("hidden", "limits")},
    }  # fmt: skip


def _units(name: str, folder: str, app: dict[str, Any]) -> dict[str, Any]:
    """The processes and timers, as django_processes takes them."""
    try:
        return for_module(name, folder, app)
    except UnitError as error:
        raise AnsibleFilterError(f"django_apps: the {error}") from None


def _question(domains: list[str], path: str, health: dict[str, Any]) -> dict[str, Any]:
    """How a live release is asked whether it is well, as a new one is before it goes live."""
    question = {"host": domains[0], "path": health.get("path"), "status": health.get("status"), "timeout": 5}
    return question | {"script_name": path.rstrip("/")}


def _read(given: Any, what: str, sample: str, name: str) -> tuple[str, str]:
    """A file of the controller, its whole path and its text; both empty where none is given."""
    if not given:
        return "", ""
    path = os.path.abspath(os.path.expanduser(str(given)))
    try:
        with open(path, encoding="utf-8") as handle:
            return path, handle.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise AnsibleFilterError(
            f"django_apps: the {what} {given} of app {name} cannot be read on the controller ({reason}); "
            f"give {sample}, its path relative to where you are"
        ) from None


def _maintenance(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """What visitors get while a site is closed, and who is not a visitor."""
    seconds = given.get("retry_after")
    if seconds is not None and int(seconds) < 1:
        raise AnsibleFilterError(
            f"django_apps: maintenance.retry_after of app {name} is {seconds}; give seconds, 1 or more"
        )
    return {
        "page": _read(given.get("page"), "maintenance page", "an HTML file", name)[1],
        "retry_after": 300 if seconds is None else int(seconds),
        "allow": [_network(str(network), name) for network in given.get("allow") or []],
    }


def _network(network: str, name: str) -> str:
    try:
        return str(ipaddress.ip_network(network))
    except ValueError as error:
        raise AnsibleFilterError(
            f"django_apps: maintenance.allow of app {name} has {network!r}, which is no address or network ({error}); "
            f"write for example 203.0.113.7 or 2001:db8::/32"
        ) from None


def _sample(needed: str) -> str:
    return {
        "name": "name: shop",
        "source": "source: https://github.com/acme/shop.git",
        "domains": "domains: [shop.example.com]",
    }[needed]


def _domain(domain: str, name: str) -> str:
    try:
        address = ipaddress.ip_address(re.sub(r"^\[(.*)\]$", r"\1", domain))
        # A client writes an IPv6 address in brackets, so Django and Nginx know it by that name.
        return f"[{address}]" if address.version == 6 else str(address)
    except ValueError:
        pass
    if len(domain) > 253 or not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        raise AnsibleFilterError(
            f"django_apps: app {name} has the domain {domain!r}, which is no host name; "
            f"write it without scheme, port and path, for example shop.example.com"
        )
    return domain.lower()


def _tls(given: Any, name: str, domains: list[str]) -> dict[str, str]:
    """The site's TLS options from a word, or from a certificate and its key."""
    if isinstance(given, dict) and set(given) == {"certificate", "private_key"} and all(given.values()):
        return {"tls": "files", **{key: str(text) for key, text in given.items()}}
    word = given or "off"  # YAML reads a bare off as false
    if not isinstance(word, str) or word not in ("off", "self_signed", "acme", "proxy"):
        raise AnsibleFilterError(
            f"django_apps: tls of app {name} has to be off, self_signed, acme, proxy, or the texts of a certificate "
            f"and its private_key, both of them"
        )
    if word == "acme" and not all("." in domain and not is_address(domain) for domain in domains):
        raise AnsibleFilterError(
            f"django_apps: tls of app {name} is acme, which is for host names that the ACME server can reach, not for "
            f"{', '.join(domain for domain in domains if '.' not in domain or is_address(domain))}; use self_signed"
        )
    return {"tls": word}


def _derived(domains: list[str], folder: str) -> dict[str, str]:
    """What projects that read their environment expect to find there, under both usual names."""
    hosts = ",".join(domains)
    origins = ",".join(f"{scheme}://{domain}" for domain in domains for scheme in ("https", "http"))
    return {
        "ALLOWED_HOSTS": hosts,
        "DJANGO_ALLOWED_HOSTS": hosts,
        "CSRF_TRUSTED_ORIGINS": origins,
        "DJANGO_CSRF_TRUSTED_ORIGINS": origins,
        "DATABASE_URL": f"sqlite:///{folder}/shared/db.sqlite3",
    }


def _mounted(path: str) -> dict[str, str]:
    """What an app below a path of a site has to know to stay there, by the names of Django's settings."""
    if path == "/":
        return {}
    cookies = dict.fromkeys(("SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH"), path)
    urls = {"STATIC_URL": f"{path}static/", "MEDIA_URL": f"{path}media/"}
    return {"FORCE_SCRIPT_NAME": path.rstrip("/"), **urls, **cookies}


def _protected(url: str, folder: str) -> dict[str, str]:
    """By the names of django-sendfile2's settings."""
    return {"SENDFILE_URL": url, "SENDFILE_ROOT": f"{folder}/shared/protected"} if url else {}


def _protected_url(given: Any, name: str, path: str) -> str:
    if not given:
        return ""
    url = f"/{str(given).strip('/')}/"
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/", url) or url == path or not url.startswith(path):
        raise AnsibleFilterError(
            f"django_apps: protected_url of app {name} is {given!r}; write a path below {path}, "
            f"for example {path}protected/"
        )
    return url


def _check_sqlite(name: str, folder: str, environment: dict[str, Any]) -> None:
    for variable, value in environment.items():
        found = re.fullmatch(r"(?:sqlite3?|spatialite)://([^?#]*).*", str(value))
        if not found or ":memory:" in found.group(1):
            continue
        # sqlite:////srv/db is absolute, sqlite:///db relative to where the release runs.
        path = found.group(1)[1:]
        if not path.startswith("/") or path.startswith(
            tuple(f"{folder}/{p}/" for p in ("releases", "current", "venvs"))
        ):
            raise AnsibleFilterError(
                f"django_apps: {variable} of app {name} puts the SQLite database inside a release, where the next one "
                f"would not find it; write sqlite:///{folder}/shared/db.sqlite3"
            )


def _check_health(name: str, app: dict[str, Any]) -> None:
    health = app.get("health") or {}
    path, status = health.get("path"), health.get("status")
    if path is not None and not re.fullmatch(r"/\S*", str(path)):
        raise AnsibleFilterError(
            f"django_apps: health.path of app {name} is {path!r}; write a path without host, for example /healthz"
        )
    if status is not None and not re.fullmatch(rf"{_STATUSES}(,{_STATUSES})*", str(status).replace(" ", "")):
        raise AnsibleFilterError(
            f"django_apps: health.status of app {name} is {status!r}; write numbers and ranges, for example 200-399,401"
        )
    numbers = [(f"health.{key}", health.get(key), least) for key, least in (("count", 1), ("settle", 0))]
    numbers += [(key, app.get(key), least) for key, least in (("probation", 0), ("probation_errors", 1))]
    for key, value, least in numbers:
        if value is not None and not (re.fullmatch(r"\d+", str(value)) and int(value) >= least):
            raise AnsibleFilterError(f"django_apps: {key} of app {name} is {value!r}; write a number, {least} or more")


def _hooks(hooks: Any, name: str) -> dict[str, list[str]]:
    """The commands of each step, as lists."""
    sample = "write for example hooks: {before_migrate: python manage.py dumpdata --output /tmp/shop.json}"
    if not isinstance(hooks, dict):
        raise AnsibleFilterError(f"django_apps: hooks of app {name} is no mapping of steps to commands; {sample}")
    completed = {}
    for step, commands in hooks.items():
        if step not in STEPS:
            raise AnsibleFilterError(
                f"django_apps: app {name} has a hook {step}, and there is no such step; use {', '.join(STEPS)}"
            )
        commands = [commands] if isinstance(commands, str) else commands or []
        if not isinstance(commands, (list, tuple)) or not all(isinstance(one, str) and one.strip() for one in commands):
            raise AnsibleFilterError(
                f"django_apps: the hook {step} of app {name} is neither a command nor a list of commands; {sample}"
            )
        if commands:
            completed[step] = [str(command) for command in commands]
    return completed


def _check_unique(kind: str, pairs: list[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for value, name in pairs:
        if value in seen:
            where = f" by {seen[value]} and {name}" if kind == "domain" else ""
            raise AnsibleFilterError(f"django_apps: the {kind} {value} is used twice{where}; each needs its own")
        seen[value] = name


def _check_domains(apps: list[dict[str, Any]]) -> None:
    """Apps may share a site, at paths of their own, and all that is one for a site."""
    first: dict[str, dict[str, Any]] = {}
    taken: list[tuple[str, str]] = []
    for app in apps:
        taken += [(f"{domain}{app['script_name']}", app["name"]) for domain in app["domains"]]
        for domain in app["domains"]:
            other = first.setdefault(domain, app)
            for key in ("domains", "tls", "canonical"):
                if other["path"] != app["path"] and other[key] != app[key]:
                    raise AnsibleFilterError(
                        f"django_apps: {other['name']} and {app['name']} share the domain {domain}, but not {key}; "
                        f"give both the same"
                    )
    _check_unique("domain", taken)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"django_apps": django_apps}
