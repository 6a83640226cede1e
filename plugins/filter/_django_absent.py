# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _django_absent
short_description: B(Internal) filter that lists the apps that are to go
version_added: 0.1.0
description:
  - B(This is an internal tool and must only be used from within this collection.)
author:
  - The emperor.web authors (@emperor-web)
options:
  _input:
    description: The apps, as in the C(django_apps) of the role P(emperor.web.django#role).
    type: list
    elements: dict
    required: true
  root:
    description: Folder that has a folder for each app.
    type: path
    default: /srv/django
"""

EXAMPLES = r"""
- name: Show which apps are to go
  ansible.builtin.debug:
    msg: "{{ (django_apps | emperor.web._django_absent).emperors | map(attribute='name') }}"
"""

RETURN = r"""
_value:
  description:
    - Has C(emperors) for M(emperor.web.uwsgi_emperor), C(units) for M(emperor.web.django_processes), and C(sites) as in
      the role's C(nginx_sites).
  type: dict
"""

from typing import Any

from ansible_collections.emperor.web.plugins.plugin_utils._apps import absent


def django_absent(apps: Any, root: str = "/srv/django") -> dict[str, list[dict[str, Any]]]:
    """The Emperors, the processes and the sites of the apps that are to go."""
    gone = absent(apps, str(root))
    units = [{key: app[key] for key in ("name", "root", "state")} for app in gone]
    return {"emperors": gone, "units": units, "sites": [{"name": app["name"], "state": "absent"} for app in gone]}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_django_absent": django_absent}
