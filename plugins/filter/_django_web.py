# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _django_web
short_description: B(Internal) filter that joins apps with what their settings say about static and uploaded files
version_added: 0.1.0
description:
  - B(This is an internal tool and must only be used from within this collection.)
  - Returns the sites for the role nginx, and the links that lead folders that the settings have inside a release to
    where they belong.
author:
  - The emperor.web authors (@emperor-web)
options:
  _input:
    description: Apps as the filter P(emperor.web.django_apps#filter) returns them.
    type: list
    elements: dict
    required: true
  sources:
    description: What M(emperor.web.django_release) has returned for these apps, each with C(app).
    type: list
    elements: dict
    default: []
  checks:
    description:
      - What M(emperor.web.django_check) has returned for these apps, each with C(app).
      - Without them the sites are as those of most projects, so that options can be checked before there is a build.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show the sites
  ansible.builtin.debug:
    msg: "{{ apps | emperor.web._django_web(builds.results, checks.results) }}"
"""

RETURN = r"""
_value:
  description:
    - Has C(sites), as in the role's C(nginx_sites), C(links) for M(emperor.web.linked_folders), and C(unfit), which has
      the C(app) and sentences (C(refuse)) where settings do not fit, such as a database that the next release would not
      find.
  type: dict
"""

import os
from typing import Any
from urllib.parse import urlsplit

from ansible.errors import AnsibleFilterError
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_options import number
from ansible_collections.emperor.web.plugins.plugin_utils._apps import by_app

# Between the moment that uWSGI ends a request and the one at which Nginx gives up.
_GRACE = 5


def django_web(
    apps: list[dict[str, Any]],
    sources: list[dict[str, Any]] | None = None,
    checks: list[dict[str, Any]] | None = None,
) -> dict[str, list[Any]]:
    """Sites and links of all apps, and which of their settings do not fit."""
    links: list[dict[str, str]] = []
    sites: list[dict[str, Any]] = []
    unfit: list[dict[str, Any]] = []
    built, checked = by_app(sources), by_app(checks)
    for app in apps:
        source, check = built.get(app["name"], {}), checked.get(app["name"], {})
        shared = f"{app['root']}/shared/media"
        # A release that check mode could not ask yet: what most projects have.
        usual = {"static_url": f"{app['path']}static/", "media_url": f"{app['path']}media/", "media_root": shared}
        project: dict[str, Any] = check.get("project") or usual
        release = source.get("path", "")
        static = {"path": project.get("static_root", ""), "target": f"{release}/static"}
        media = {"path": project["media_root"], "target": shared}
        links += [
            link | {"name": f"app {app['name']}: {setting}", "merge": True}
            for setting, link in (("STATIC_ROOT", static), ("MEDIA_ROOT", media))
            if inside(link["path"], f"{release}/src")
        ]
        media_root = shared if inside(media["path"], f"{release}/src") else media["path"]
        refuse: list[str] = []
        lost = [base["name"] for base in project.get("databases", []) if inside(base.get("name"), release)]
        if lost:
            refuse.append(
                f"the SQLite database {', '.join(lost)} is inside a release, where the next one "
                f"would not find it. Let the settings take it from the environment (DATABASE_URL is "
                f"sqlite:///{app['root']}/shared/db.sqlite3)"
            )
        refuse += [
            f"{setting} is in {folder} of shared_folders, where Nginx may not read. Let the "
            f"settings take it from the environment, or leave the folder out of shared_folders"
            for setting, place in (("STATIC_ROOT", static["path"]), ("MEDIA_ROOT", media["path"]))
            for folder in app["shared_folders"]
            if (setting, folder) != ("MEDIA_ROOT", "media")
            and (place == f"{release}/src/{folder}" or inside(place, f"{app['root']}/shared/{folder}"))
        ]
        if project.get("ssl_redirect") and app["tls"]["tls"] == "off" and not app["nginx_template"]:
            refuse.append(
                "SECURE_SSL_REDIRECT sends visitors to HTTPS, which the site does not have. Give "
                "the app tls: acme, or tls: proxy where a load balancer in front of the host has the certificate, or "
                "switch the setting off"
            )
        if refuse:
            unfit.append({"app": app["name"], "refuse": refuse})
        sites.append(
            {
                "name": app["name"],
                "domains": app["domains"],
                "root": app["root"],
                # Of an app that sleeps, systemd listens for it.
                "socket": f"/run/emperor/{app['name']}.wake" if app["sleep"] else "",
                "path": app["path"],
                "static_url": own_path("STATIC_URL", project["static_url"], app),
                "media_url": own_path("MEDIA_URL", project["media_url"], app) if media_root else "",
                "media_root": media_root,
                "protected_url": app["protected_url"],
                "protected_root": f"{app['root']}/shared/protected",
                "client_max_body_size": app["client_max_body_size"],
                "read_timeout": number(app["uwsgi"], "harakiri", 0) + _GRACE,
                "canonical": app["canonical"],
                "rate_limit": app["rate_limit"],
                "balancer_check": app["balancer_check"],
                "health_path": app["health"].get("path") or "/",
                "error_page": app["error_page"],
                "template": app["nginx_template"],
                "config": app["nginx_config"],
                "maintenance": app["maintenance"],
                **app["tls"],
            }
        )
    return {"sites": sites, "links": links, "unfit": unfit}


def own_path(setting: str, url: str | None, app: dict[str, Any]) -> str:
    """The path of an app's files, which for one below a path of a site has to be there too."""
    path = url_path(url, app["domains"])
    if path and not path.startswith(app["path"]):
        usual = f"{app['path']}{'static' if setting == 'STATIC_URL' else 'media'}/"
        raise AnsibleFilterError(
            f"app {app['name']} is below {app['path']}, but its {setting} is {url}, which belongs to another app of "
            f"the site. Let the settings take it from the environment ({setting} is {usual}), or write it without a "
            f"slash at its start"
        )
    return path


def inside(path: str | None, folder: str) -> bool:
    """Whether a path lies below a folder."""
    return os.path.normpath(path).startswith(f"{folder}/") if path else False


def url_path(url: str | None, domains: list[str]) -> str:
    """The path below which this server has to serve the files of a URL; empty where another one does."""
    parts = urlsplit(url or "")
    if parts.netloc and parts.hostname not in domains:
        return ""
    path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    return path if path.startswith("/") and path != "/" else ""


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_django_web": django_web}
