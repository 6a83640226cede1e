# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import threading
from contextlib import contextmanager

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _uwsgi
from ansible_collections.emperor.web.plugins.module_utils._uwsgi import (
    Answer,
    UwsgiError,
    get,
    packet,
    parse_answer,
    read_stats,
    render,
)
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_options import DEFAULTS, OWNED

# The vassal.

CASE = {
    "app": "shop",
    "release": "3f2a9c1b-7d04e6aa",
    "folder": "/srv/django/shop/releases/3f2a9c1b-7d04e6aa",
    "project": ".",
    "wsgi": "shop.wsgi:application",
    "run": "/run/emperor/shop",
}

GOLDEN = """\
[uwsgi]
set-ph = release=/srv/django/shop/releases/3f2a9c1b-7d04e6aa
plugins = python3
strict = true
master = true
no-orphans = true
need-app = true
single-interpreter = true
die-on-term = true
vacuum = true
chdir = /srv/django/shop/releases/3f2a9c1b-7d04e6aa/src
virtualenv = /srv/django/shop/releases/3f2a9c1b-7d04e6aa/venv
module = shop.wsgi:application
socket = /run/emperor/shop/3f2a9c1b-7d04e6aa.sock
chmod-socket = 660
stats = /run/emperor/shop/3f2a9c1b-7d04e6aa.stats
add-header = X-Emperor-Release: 3f2a9c1b-7d04e6aa
auto-procname = true
procname-prefix-spaced = [shop]
disable-logging = true
processes = 2
threads = 1
enable-threads = true
py-call-uwsgi-fork-hooks = true
listen = 1024
buffer-size = 32768
post-buffering = 65536
harakiri = 60
worker-reload-mercy = 25
max-worker-lifetime = 86400
max-worker-lifetime-delta = 600
reload-on-rss = 512
route = ^/a last:
route = ^/b last:
lazy-apps = true
"""

# The vassal of CASE by the number of its format. Add a line with each new format, never change one.
FORMATS = {
    1: "56111f9d1a3687ec",
    2: "b5f1c03f02828366",
    3: "9c71408dab836f72",
}


def test_a_vassal_is_what_it_should_be():
    options = {"processes": 2, "max-requests": False, "route": ["^/a last:", "^/b last:"], "lazy-apps": True}
    assert render(options, **CASE) == GOLDEN


def test_another_vassal_has_another_format():
    digest = hashlib.sha256(render({}, **CASE).encode()).hexdigest()[:16]
    assert FORMATS.get(_uwsgi.VASSAL_FORMAT) == digest, (
        "The vassal of a release has changed. Its format is part of each release's id, so raise VASSAL_FORMAT in "
        "_uwsgi.py (else a deploy rewrites the file of the live vassal, and the Emperor reloads it in place), and add "
        f"to FORMATS here: {_uwsgi.VASSAL_FORMAT + 1}: {digest!r}"
    )


def test_the_project_may_be_below_the_sources():
    assert "chdir = /srv/django/shop/releases/3f2a9c1b-7d04e6aa/src/web/site\n" in render(
        {}, **CASE | {"project": "web/site"}
    )


def test_no_path_leads_through_the_link_that_moves():
    assert "current" not in render({}, **CASE)


def test_false_takes_a_default_out_and_zero_does_not():
    assert "harakiri" not in render({"harakiri": False}, **CASE)
    assert "\nmax-requests = 0\n" in render({"max-requests": 0}, **CASE)


def test_the_release_wins_over_every_option():
    """A vassal is read by root's Emperor as well: nothing that is given may take the place of what is fixed."""
    fixed = {line.partition(" = ")[0] for line in render({}, **CASE).splitlines()[1:]} - set(DEFAULTS)
    assert fixed - OWNED <= {"auto-procname", "procname-prefix-spaced", "disable-logging"}


# The protocol.


def test_a_packet_is_what_the_protocol_wants():
    data = packet({"A": "bc", "HOST": "é"})
    size = 2 + 1 + 2 + 2 + 2 + 4 + 2 + 2
    assert data == bytes([0, size, 0, 0]) + b"\1\0A\2\0bc\4\0HOST\2\0\xc3\xa9"


def test_a_large_packet_has_its_size_in_little_endian():
    data = packet({"A": "x" * 300})
    assert struct.unpack("<BHB", data[:4]) == (0, len(data) - 4, 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-A:b \r\n\r\nhello\r\n\r\nworld",
            Answer(200, {"content-type": "text/html", "x-a": "b"}, b"hello\r\n\r\nworld"),
            id="usual",
        ),
        pytest.param(b"HTTP/1.0 404 Not Found\r\n\r\n", Answer(404, {}, b""), id="no headers"),
        pytest.param(
            b"HTTP/2 503\r\nLocation: http://a:80/\r\n\r\n",
            Answer(503, {"location": "http://a:80/"}, b""),
            id="no reason",
        ),
    ],
)
def test_an_answer_is_read(data, expected):
    assert parse_answer(data) == expected


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"garbage", b"HTTP/1.1 OK\r\n\r\n"])
def test_no_answer_is_said_to_be_none(data):
    with pytest.raises(UwsgiError, match="the app closed the connection without an answer"):
        parse_answer(data)


@contextmanager
def listening(path: str, answer):
    """A Unix socket on which the given function handles each connection."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _address = server.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield path
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def request_of(connection) -> dict[str, str]:
    """The variables of one request."""
    _modifier, size, _modifier2 = struct.unpack("<BHB", connection.recv(4, socket.MSG_WAITALL))
    body, parts = connection.recv(size, socket.MSG_WAITALL), []
    while body:
        (length,) = struct.unpack("<H", body[:2])
        parts.append(body[2 : 2 + length].decode())
        body = body[2 + length :]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture
def address(tmp_path_factory):
    """A path that is short enough for a socket."""
    return str(tmp_path_factory.mktemp("s") / "x.sock")


@pytest.mark.parametrize(
    ("https", "differing"),
    [
        (False, {"SERVER_PORT": "80"}),
        (True, {"SERVER_PORT": "443", "HTTPS": "on", "REQUEST_SCHEME": "https", "HTTP_X_FORWARDED_PROTO": "https"}),
    ],
)
def test_a_path_is_asked_for_as_nginx_would(address, https, differing):
    asked = []

    def answer(connection):
        asked.append(request_of(connection))
        for part in (b"HTTP/1.1 200 OK\r\nX-Emperor-", b"Release: a-1\r\n\r\nwell", b"!"):
            connection.sendall(part)

    with listening(address, answer):
        found = get("/health/?deep=1", address=address, host="shop.example.com", https=https, timeout=10)
    assert found == Answer(200, {"x-emperor-release": "a-1"}, b"well!")
    expected = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/health/?deep=1",
        "PATH_INFO": "/health/",
        "QUERY_STRING": "deep=1",
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "shop.example.com",
        "HTTP_HOST": "shop.example.com",
        "REMOTE_ADDR": "127.0.0.1",
    } | differing
    assert {name: asked[0].get(name) for name in expected} == expected
    assert https or not {"HTTPS", "HTTP_X_FORWARDED_PROTO"} & set(asked[0])


def test_an_app_that_closes_the_connection_is_noticed(address):
    with listening(address, request_of), pytest.raises(UwsgiError, match="without an answer"):
        get("/", address=address, host="x")


def test_an_app_that_does_not_answer_is_not_waited_for(address):
    done = threading.Event()
    with listening(address, lambda _connection: done.wait(10)):
        with pytest.raises(TimeoutError):
            get("/", address=address, host="x", timeout=0.1)
        done.set()


def test_a_socket_that_is_not_there_is_an_os_error(address):
    with pytest.raises(FileNotFoundError):
        get("/", address=address, host="x")


def test_stats_are_read(address):
    stats = {"listen_queue": 0, "workers": [{"status": "idle"}]}
    with listening(address, lambda connection: connection.sendall(json.dumps(stats).encode())):
        assert read_stats(address) == stats


@pytest.mark.parametrize("said", [b"", b'{"workers": [', b"<html>"])
def test_stats_that_cannot_be_read_are_none(address, said):
    with listening(address, lambda connection: connection.sendall(said)):
        assert read_stats(address) is None


def test_stats_of_nobody_are_none(address):
    assert read_stats(address) is None
    with open(address, "w", encoding="utf-8"):
        pass
    assert read_stats(address) is None
    os.unlink(address)
    with listening(address, lambda _connection: threading.Event().wait(0.3)):
        assert read_stats(address, timeout=0.05) is None
