# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _tls_sites
short_description: B(Internal) filter that tells which certificates a list of sites wants
version_added: 0.1.0
description:
  - B(This is an internal tool and must only be used from within this collection.)
author:
  - The emperor.web authors (@emperor-web)
options:
  _input:
    description: Sites as in the C(nginx_sites) of the role P(emperor.web.nginx#role), or completed apps.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Count the sites with TLS
  ansible.builtin.debug:
    msg: "{{ (nginx_sites | emperor.web._tls_sites).certificates | length }}"
"""

RETURN = r"""
_value:
  description: The options C(certificates) and C(private_keys) of M(emperor.web.tls_certificates). Keep it out of logs.
  type: dict
"""

from typing import Any


def tls_sites(sites: list[dict[str, Any]]) -> dict[str, Any]:
    """The wanted certificates of the sites that have TLS, and apart from them the keys of the given ones."""
    certificates, keys = [], {}
    for site in sites:
        if isinstance(site.get("tls"), dict):
            site = {**site, **site["tls"]}  # an app
        mode = site.get("tls") or "off"  # YAML reads a bare off as false
        if mode in ("off", "proxy"):
            continue
        wanted = {"name": site["name"], "domains": site["domains"], "mode": mode}
        if mode == "files":
            wanted["certificate"] = site["certificate"]
            keys[site["name"]] = site["private_key"]
        certificates.append(wanted)
    return {"certificates": certificates, "private_keys": keys}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_tls_sites": tls_sites}
