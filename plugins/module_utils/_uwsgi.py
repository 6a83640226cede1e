# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""uWSGI: a vassal's configuration, and questions to a running one in uWSGI's own protocol."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
from dataclasses import dataclass
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._uwsgi_options import UwsgiError, plugins, settings

# Part of every release's id: a change of the lines below makes new releases, it never reloads a live vassal.
VASSAL_FORMAT = 3

RELEASE_HEADER = "X-Emperor-Release"


def render(options: dict[str, Any], *, app: str, release: str, folder: str, project: str, wsgi: str, run: str) -> str:
    """The vassal of one release. All paths are the release's own: a link would be resolved once and never again."""
    lines = ["[uwsgi]"]
    fixed: dict[str, Any] = {
        "set-ph": f"release={folder}",
        "plugins": plugins(options),
        "strict": True,
        "master": True,
        "no-orphans": True,
        "need-app": True,
        "single-interpreter": True,
        "die-on-term": True,
        "vacuum": True,
        "chdir": os.path.normpath(os.path.join(folder, "src", project)),
        "virtualenv": os.path.join(folder, "venv"),
        "module": wsgi,
        "socket": os.path.join(run, f"{release}.sock"),
        "chmod-socket": 660,
        "stats": os.path.join(run, f"{release}.stats"),
        "add-header": f"{RELEASE_HEADER}: {release}",
        "auto-procname": True,
        "procname-prefix-spaced": f"[{app}]",
        "disable-logging": True,
    }
    for name, value in (fixed | settings(options)).items():
        if options.get(name) is False:
            continue
        for item in value if isinstance(value, list) else [value]:
            lines.append(f"{name} = {'true' if item is True else item}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as far as a health check needs it."""

    status: int
    headers: dict[str, str]
    body: bytes


def get(
    path: str, *, address: str, host: str, script_name: str = "", https: bool = False, timeout: float = 10
) -> Answer:
    """GET a path, below where the app is, of one that listens on a Unix socket, the way Nginx would ask for it."""
    route, _mark, query = path.partition("?")
    variables = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": script_name + path,
        "PATH_INFO": route,
        "QUERY_STRING": query,
        "SCRIPT_NAME": script_name,
        "CONTENT_LENGTH": "",
        "CONTENT_TYPE": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": host,
        "SERVER_PORT": "443" if https else "80",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": host,
        "HTTP_USER_AGENT": "emperor.web health check",
    }
    if https:
        variables |= {"HTTPS": "on", "REQUEST_SCHEME": "https", "HTTP_X_FORWARDED_PROTO": "https"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(address)
        connection.sendall(packet(variables))
        return parse_answer(_read_all(connection))


def packet(variables: dict[str, str]) -> bytes:
    """Request variables in the uwsgi protocol (modifier 0)."""
    body = b""
    for name, value in variables.items():
        for part in (name.encode(), value.encode()):
            body += struct.pack("<H", len(part)) + part
    return struct.pack("<BHB", 0, len(body), 0) + body


def parse_answer(data: bytes) -> Answer:
    """Status, headers and body of an HTTP answer."""
    head, _separator, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    found = re.match(r"HTTP/\S+ (\d{3})", first)
    if not found:
        raise UwsgiError("the app closed the connection without an answer")
    headers = {name.strip().lower(): value.strip() for name, _colon, value in (line.partition(":") for line in rest)}
    return Answer(int(found.group(1)), headers, body)


def read_stats(address: str, timeout: float = 3) -> dict[str, Any] | None:
    """What a stats socket says, or None where nobody answers on it."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            return json.loads(_read_all(connection).decode("utf-8", "replace"))
    except (OSError, ValueError):
        return None


def _read_all(connection: socket.socket) -> bytes:
    data = b""
    while block := connection.recv(1 << 16):
        data += block
    return data
