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
    description: Sites as in the C(nginx_sites) of the role P(emperor.web.nginx#role).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Count the sites with TLS
  ansible.builtin.debug:
    msg: "{{ nginx_sites | emperor.web._tls_sites | length }}"
"""

RETURN = r"""
_value:
  description: The option C(certificates) of M(emperor.web.tls_certificates). It has private keys; keep it out of logs.
  type: list
  elements: dict
"""

from typing import Any


def tls_sites(sites: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The wanted certificates of the sites that have TLS."""
    wanted = []
    for site in sites:
        mode = site.get("tls") or "off"  # YAML reads a bare off as false
        if mode not in ("off", "proxy"):
            given = {key: site[key] for key in ("certificate", "private_key")} if mode == "files" else {}
            wanted.append({"name": site["name"], "domains": site["domains"], "mode": mode, **given})
    return wanted


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_tls_sites": tls_sites}
