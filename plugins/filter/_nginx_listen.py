# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _nginx_listen
short_description: B(Internal) filter that writes what Nginx listens on, with or without the PROXY protocol
version_added: 0.1.0
description:
  - B(This is an internal tool and must only be used from within this collection.)
  - With the PROXY protocol the loopback addresses of the same ports are added without it, for the host itself.
author:
  - The emperor.web authors (@emperor-web)
options:
  _input:
    description: Addresses as in the C(nginx_listen) of the role P(emperor.web.nginx#role).
    type: list
    elements: str
    required: true
  proxy_protocol:
    description: Whether connections begin with a header of the PROXY protocol.
    type: bool
    required: true
"""

EXAMPLES = r"""
- name: Show what Nginx listens on
  ansible.builtin.debug:
    msg: "{{ ['80', '[::]:80'] | emperor.web._nginx_listen(true) }}" # 80 and [::]:80 with it, 127.0.0.1:80 and [::1]:80
"""

RETURN = r"""
_value:
  description: What the directive C(listen) takes.
  type: list
  elements: str
"""

import re
from typing import Any

_LOOPBACK = re.compile(r"unix:.*|localhost|127\.[\d.]+|\[::1\]")


def nginx_listen(addresses: list[str], proxy_protocol: bool) -> list[str]:
    """The addresses as the directive listen takes them."""
    if not proxy_protocol:
        return list(addresses)
    written, local = [], []
    for address in addresses:
        host, port = _parts(address)
        if _LOOPBACK.fullmatch(host):  # no load balancer comes from there
            written.append(address)
            continue
        written.append(f"{address} proxy_protocol")
        # Nginx goes by the more specific address, so these connections need no header.
        local.append(f"{'[::1]' if host.startswith('[') else '127.0.0.1'}:{port}")
    taken = {address.split()[0] for address in written}
    return written + [address for address in dict.fromkeys(local) if address not in taken]


def _parts(address: str) -> tuple[str, str]:
    """Host and port of what the directive listen takes; 80 is the port unless it is given."""
    first = address.split()[0]
    if first.isdigit():
        return "*", first
    found = re.fullmatch(r"(\[.*\]|[^:]+):(\d+)", first)
    return (found[1], found[2]) if found else (first, "80")


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_nginx_listen": nginx_listen}
