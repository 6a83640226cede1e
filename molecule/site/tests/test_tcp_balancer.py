"""The same host behind a load balancer for TCP, which tells visitors' addresses by the PROXY protocol.

These tests begin with a run of the playbook that turns it on, and with it an app goes live anew. By the name of this
file they come after those of the same host without it. The load balancer is again the gateway of the container's
network, and the tests write its headers: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import re
import socket
import ssl
from pathlib import Path

import pytest
from conftest import changed_by

SCENARIO = Path(os.environ["EMPEROR_PROJECT"]) / "molecule/site"
DOMAIN = "shop.example.com"
BEHIND = "behind.example.com"
SEALED = "sealed.example.com"
VISITOR, VISITOR6 = "203.0.113.9", "2001:db8::9"
BALANCER = "198.51.100.1"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
# What AWS's Network Load Balancer sends before the request of a health check: command LOCAL, a checksum, padding.
AWS_CHECK = SIGNATURE + bytes.fromhex("20110054030004bce5951f04004a") + bytes(74)

STRANGER = """
import socket, sys
address, header, domain = sys.argv[1], bytes.fromhex(sys.argv[2]), sys.argv[3].encode()
with socket.create_connection((address, 80), timeout=30) as connection:
    connection.sendall(header + b"GET / HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n" % domain)
    try:
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except ConnectionResetError:
        answer = b""
print(answer.decode())
"""


def v1(visitor: str = VISITOR, port: int = 80) -> bytes:
    """The header as text, for a connection to a port of the load balancer."""
    six = ":" in visitor
    return f"PROXY TCP{6 if six else 4} {visitor} {'2001:db8::1' if six else BALANCER} 40000 {port}\r\n".encode()


def v2(visitor: str = VISITOR, port: int = 80) -> bytes:
    """The same in binary."""
    six = ":" in visitor
    addresses = ipaddress.ip_address(visitor).packed + ipaddress.ip_address("2001:db8::1" if six else BALANCER).packed
    block = addresses + (40000).to_bytes(2, "big") + port.to_bytes(2, "big")
    return SIGNATURE + bytes([0x21, 0x21 if six else 0x11]) + len(block).to_bytes(2, "big") + block


def ask(address: str, header: bytes, domain: str, path: str = "/", *, tls: bool = False, **headers: str):
    """Status, headers and body of an answer through the load balancer."""
    connection = http.client.HTTPConnection(domain)
    plain = socket.create_connection((address, 443 if tls else 80), timeout=30)
    with plain:
        plain.sendall(header)
        context = ssl._create_unverified_context()
        connection.sock = context.wrap_socket(plain, server_hostname=domain) if tls else plain
        wire = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers={"Host": domain} | wire)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def seen(answer) -> dict:
    """What Django says of a request."""
    assert answer[0] == 200, answer
    return json.loads(answer[2])


def history(host) -> list[dict]:
    return [json.loads(line) for line in host.file("/srv/django/behind/releases.jsonl").content_string.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def play(host, tmp_path_factory):
    """Turn it on, with a change of one app, as somebody would who changes an inventory; and run that again."""
    text = (SCENARIO / "inventory.yml").read_text()
    for old, new in {
        "nginx_http3: true": "nginx_http3: false\n      nginx_proxy_protocol: true",
        'SECURE_SSL_REDIRECT: "on"': 'SECURE_SSL_REDIRECT: "on", BEHIND: tcp',
    }.items():
        assert old in text
        text = text.replace(old, new)
    inventory = tmp_path_factory.mktemp("inventory") / "inventory.yml"
    inventory.write_text(text)

    before = len(history(host))
    changed_by("emperor.web.site", inventory)
    yield {"releases": before, "inventory": inventory}


def test_release_goes_live_and_is_confirmed(host, play):
    """By the web server on the host's own address, which needs no header there."""
    added = history(host)[play["releases"] :]
    assert [(entry["result"], entry["action"]) for entry in added] == [("live", "release")]
    assert added[0]["seconds"]["confirm"] < 5
    assert changed_by("emperor.web.site", play["inventory"]) == 0, "a second run"


# The visitor's address.


@pytest.mark.parametrize("header", [v1, v2])
@pytest.mark.parametrize("visitor", [VISITOR, VISITOR6])
@pytest.mark.parametrize("tls", [False, True])
def test_visitors_address_reaches_django_and_the_log(host, address, header, visitor, tls):
    domain, port = (SEALED, 443) if tls else (DOMAIN, 80)
    path = f"/show/{header.__name__}-{'tls' if tls else 'plain'}-{ipaddress.ip_address(visitor).version}/"
    request = seen(ask(address, header(visitor, port), domain, path, tls=tls))
    assert request["REMOTE_ADDR"] == request["HTTP_X_FORWARDED_FOR"] == visitor
    assert (request["secure"], request["SERVER_PORT"]) == (tls, str(port))
    lines = [json.loads(line) for line in host.file("/var/log/nginx/access.log").content_string.splitlines()]
    assert [line["remote_addr"] for line in lines if line["uri"] == path][-1] == visitor


@pytest.mark.parametrize("tls", [False, True])
def test_connection_without_a_header_is_refused(address, tls):
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError, ssl.SSLError)):
        ask(address, b"", SEALED if tls else DOMAIN, tls=tls)


@pytest.mark.parametrize("header", [v1, v2])
def test_strangers_are_not_believed(host, address, header):
    """Who reaches the host past the load balancer is who it is, whatever its header claims."""

    def stranger(domain: str) -> str:
        return host.check_output("python3 -c %s %s %s %s", STRANGER, address, header(port=443).hex(), domain)

    head, _blank, body = stranger(DOMAIN).partition("\r\n\r\n")
    assert " 200 " in head.splitlines()[0]
    assert f'"REMOTE_ADDR": "{address}"' in body and '"secure": false' in body
    assert f"Location: https://{BEHIND}/" in stranger(BEHIND), "not over HTTPS"


def test_visitors_are_not_believed_what_only_the_load_balancer_may_say(address):
    """It passes on what they send: headers of a request, and a header of the PROXY protocol behind its own."""
    claim = {"X_Forwarded_For": "192.0.2.66", "X_Forwarded_Proto": "https", "X_Request_ID": "forged"}
    request = seen(ask(address, v2(), DOMAIN, **claim))
    assert request["REMOTE_ADDR"] == request["HTTP_X_FORWARDED_FOR"] == VISITOR
    assert request["secure"] is False
    assert re.fullmatch("[0-9a-f]{32}", request["HTTP_X_REQUEST_ID"])
    assert ask(address, v2(), BEHIND, X_Forwarded_Proto="https")[0] == 301
    assert ask(address, v2() + v1("192.0.2.66"), DOMAIN)[0] == 400


def test_nobody_becomes_this_host_by_claiming_its_address(host, address):
    assert ask(address, v1("127.0.0.1"), DOMAIN)[1]["X-Emperor-Release"] is None
    assert ask(address, v1("127.0.0.1"), address, "/nginx_status")[0] == 403
    command = "python3 -c %s"
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1/nginx_status').read().decode())"
    assert host.check_output(command, code).startswith("Active connections:")


def test_rate_limit_counts_visitors(address):
    statuses = [ask(address, v2("2001:db8::17"), DOMAIN, "/blog/")[0] for _number in range(8)]
    assert statuses == [200] * 6 + [429] * 2
    assert ask(address, v2("2001:db8::18"), DOMAIN, "/blog/")[0] == 200


# What the load balancer does by itself.


def test_tls_that_ends_there_shows_in_its_port(address):
    assert seen(ask(address, v2(port=443), BEHIND))["url"] == f"https://{BEHIND}/"
    status, headers, _body = ask(address, v2(port=80), BEHIND, "/show/a/?b=c")
    assert (status, headers["Location"]) == (301, f"https://{BEHIND}/show/a/?b=c")


@pytest.mark.parametrize("header", [AWS_CHECK, b"PROXY UNKNOWN\r\n"], ids=["AWS", "version 1"])
def test_check_of_the_load_balancer_is_answered(address, header):
    assert seen(ask(address, header, address, "/healthz"))["url"] == f"https://{BEHIND}/show/health/?from=balancer"
    assert ask(address, header, BEHIND)[0] == 301, "Django's answer, as the check came over HTTP"


@pytest.mark.parametrize("path", ["/", "/healthz"])
def test_visitors_without_a_name_reach_nothing(address, path):
    with pytest.raises(http.client.RemoteDisconnected):
        ask(address, v2(), address, path)


def test_name_of_no_site_is_refused_over_tls(address):
    with pytest.raises((ssl.SSLError, http.client.RemoteDisconnected)):
        ask(address, v2(port=443), "other.example.com", tls=True)


def test_acme_server_reaches_its_challenges(host, address):
    host.check_output("install -d /var/lib/emperor-acme/.well-known/acme-challenge")
    host.check_output("printf said > /var/lib/emperor-acme/.well-known/acme-challenge/token")
    answer = ask(address, v2(), SEALED, "/.well-known/acme-challenge/token")
    assert (answer[0], answer[2]) == (200, "said")


# Nginx's own opinion.


def test_nginx_and_gixy_find_nothing(host, gixy_says):
    assert "[warn]" not in host.run("nginx -t").stderr
    assert gixy_says == ""
    errors = host.file("/var/log/nginx/error.log").content.decode(errors="replace")  # headers that were none are quoted
    assert not re.search(r"\[(emerg|alert|crit)\]", errors), errors[-2000:]
