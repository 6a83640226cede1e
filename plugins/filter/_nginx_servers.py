# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _nginx_servers
short_description: B(Internal) filter that checks sites and puts those that share their domains into one server
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
  settings:
    description: The variables of the role that apply to all sites, by their names.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Count the servers
  ansible.builtin.debug:
    msg: "{{ nginx_sites | emperor.web._nginx_servers(settings) | length }}"
"""

RETURN = r"""
_value:
  description:
    - One entry for each set of domains, the site at its shortest path with all its options. C(mounts) are the others.
  type: list
  elements: dict
"""

import ipaddress
import re
from typing import Any

from ansible.errors import AnsibleFilterError

_SIZE = re.compile(r"\d+[kmgKMG]?")
_RATE = re.compile(r"[1-9]\d*r/[sm]")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# What would end a quoted value in Nginx's configuration, or be a variable there.
_UNQUOTABLE = re.compile(r'["\\$\x00-\x1f]')
_PATH = re.compile(r"/|(/[A-Za-z0-9._~-]+)+/")
_CHECK = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")

_DEFAULTS: dict[str, Any] = {
    "path": "/",
    "static_url": "/static/",
    "media_url": "",
    "media_root": "",
    "protected_url": "",
    "protected_root": "",
    "client_max_body_size": "",
    "read_timeout": 0,
    "canonical": False,
    "rate_limit": {},
    "balancer_check": "",
    "health_path": "/",
    "error_page": "",
    "template": "",
    "config": "",
}


def nginx_servers(sites: list[dict[str, Any]], settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Check the settings and the sites, and return a server for each set of domains."""
    _check_settings(settings)
    completed = [_complete(site, settings) for site in sites if site.get("state") != "absent"]
    _check_balancer_checks(completed)
    servers: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for site in completed:
        servers.setdefault(tuple(site["domains"]), []).append(site)
    result = []
    for group in servers.values():
        first, *mounts = sorted(group, key=lambda site: len(site["path"]))  # sorting keeps the order of equals
        result.append(first | {"mounts": mounts})
    return result


def _check_settings(settings: dict[str, Any]) -> None:
    _check_size("nginx_client_max_body_size", settings.get("client_max_body_size", "0"))
    for network in settings["trusted_proxies"]:
        try:
            size = ipaddress.ip_network(network).prefixlen
        except ValueError as error:
            raise AnsibleFilterError(
                f"nginx_trusted_proxies has {network!r}, which is no address or network ({error}); "
                f"write for example 10.0.0.0/16, the networks of your load balancer"
            ) from None
        if not size:
            raise AnsibleFilterError(
                f"nginx_trusted_proxies has {network}, by which every visitor could claim any address and HTTPS; "
                f"name the networks of your load balancer, for example 10.0.0.0/16"
            )
    if settings.get("proxy_protocol"):
        _check_proxy_protocol(settings)
    for header, value in settings.get("security_headers", {}).items():
        if not _HEADER.fullmatch(header) or _UNQUOTABLE.search(str(value)):
            raise AnsibleFilterError(
                f"nginx_security_headers: {header}: {value} cannot be written for Nginx; use letters, digits and - for "
                f'the name, and one line without ", \\ and $ for the value'
            )


def _check_proxy_protocol(settings: dict[str, Any]) -> None:
    if not settings["trusted_proxies"]:
        raise AnsibleFilterError(
            "nginx_proxy_protocol needs nginx_trusted_proxies, the networks of the load balancer, for example "
            "[10.0.0.0/16]; by the header that it sends, everybody else could claim any address"
        )
    if settings.get("http3"):
        raise AnsibleFilterError(
            "nginx_proxy_protocol and nginx_http3 do not go together: HTTP/3 comes over UDP, for which Nginx has no "
            "PROXY protocol; set nginx_http3: false"
        )


def _check_size(name: str, size: str) -> None:
    if not _SIZE.fullmatch(size):
        raise AnsibleFilterError(
            f"{name}: client_max_body_size has to be a number with k, m or g, for example 20m, not {size}"
        )


def _complete(site: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    name = site["name"]
    for needed in ("domains", "root"):
        if not site.get(needed):
            raise AnsibleFilterError(f"site {name} has no {needed}, which only one with state: absent can do without")
    given = {key: value for key, value in site.items() if value is not None}
    complete = _DEFAULTS | given | {"tls": site.get("tls") or "off"}  # YAML reads a bare off as false
    complete["maintenance"] = {"page": "", "retry_after": 300, "allow": []} | (site.get("maintenance") or {})
    complete["id"] = re.sub(r"\W", "_", name)
    complete["script_name"] = complete["path"].rstrip("/")
    complete["socket"] = site.get("socket") or f"{site['root']}/current/live.sock"
    if complete["client_max_body_size"]:
        _check_size(f"site {name}", complete["client_max_body_size"])
    if not _PATH.fullmatch(complete["path"]):
        raise AnsibleFilterError(f"site {name}: the path {complete['path']!r} is none; write for example /shop/")
    if complete["balancer_check"] and not _CHECK.fullmatch(complete["balancer_check"]):
        raise AnsibleFilterError(
            f"site {name}: balancer_check is {complete['balancer_check']!r}; write a path, for example /healthz"
        )
    for option, used in (("tls: proxy", complete["tls"] == "proxy"), ("balancer_check", complete["balancer_check"])):
        if used and not settings["trusted_proxies"]:
            raise AnsibleFilterError(
                f"site {name}: {option} needs nginx_trusted_proxies, the networks of the load balancer, for example "
                f"[10.0.0.0/16]"
            )
    if complete["rate_limit"]:
        complete["rate_limit"] = _rate_limit(name, complete["rate_limit"])
    return complete


def _rate_limit(name: str, given: dict[str, Any]) -> dict[str, Any]:
    rate, burst = str(given.get("rate") or ""), given.get("burst")
    burst = 20 if burst is None else burst
    if not _RATE.fullmatch(rate) or not re.fullmatch(r"\d+", str(burst)):
        raise AnsibleFilterError(
            f"site {name}: the rate_limit {given} is none; write for example {{rate: 10r/s, burst: 20}}"
        )
    return {"rate": rate, "burst": int(burst)}


def _check_balancer_checks(sites: list[dict[str, Any]]) -> None:
    seen: dict[str, str] = {}
    for site in sites:
        path = site["balancer_check"]
        if path and path in seen:
            raise AnsibleFilterError(
                f"the sites {seen[path]} and {site['name']} have the same balancer_check, {path}; it is asked for the "
                f"address of the host, so only the path can tell them apart"
            )
        seen[path] = site["name"]


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_nginx_servers": nginx_servers}
