"""Certificates for a host behind a load balancer for TCP, through which the ACME server comes as well.

The load balancer is a relay on the host itself, which begins each connection with a header of the PROXY protocol.
By the name of this file its tests come after those of the same host without it.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from test_tls import DOMAIN, deploy, names, renew_all, until_other_than

ADDED = f"new.{DOMAIN}"
ACME_SERVER, VISITOR = "203.0.113.50", "203.0.113.9"
GATEWAY = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}"
HEADER = "PROXY TCP4 {} 198.51.100.1 40000 {}\r\n"
RELAY = """\
import asyncio, sys
host, header = sys.argv[1], sys.argv[2].encode() + b"\\r\\n"

async def carry(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()

async def pass_on(reader, writer):
    back, onward = await asyncio.open_connection(host, 80)
    onward.write(header)
    await asyncio.gather(carry(reader, onward), carry(back, writer))

async def serve():
    await (await asyncio.start_server(pass_on, "127.0.0.1", 8080)).serve_forever()

asyncio.run(serve())
"""


def certificate_of(address: str, root: Path, domain: str) -> dict:
    """What a visitor is shown through the load balancer, trusting the ACME server alone; the site has to answer."""
    connection = http.client.HTTPConnection(domain)
    with socket.create_connection((address, 443), timeout=30) as plain:
        plain.sendall(HEADER.format(VISITOR, 443).encode())
        connection.sock = ssl.create_default_context(cafile=str(root)).wrap_socket(plain, server_hostname=domain)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        return connection.sock.getpeercert()


def challenges(host) -> int:
    """How often the ACME server has asked the site, as Nginx's log has it, with the address that the relay told."""
    lines = host.file("/var/log/nginx/access.log").content_string.splitlines()
    return sum(line.startswith(f"{ACME_SERVER} ") and "/.well-known/acme-challenge/" in line for line in lines)


@pytest.fixture(scope="module", autouse=True)
def play(host, address, acme_server) -> tuple[str, str]:
    """Turn it on and add a name in one run, with an ACME server that reaches the names' port 80 by the relay."""
    relay = "systemd-run --quiet --collect --unit balancer python3 -c %s %s %s"
    host.check_output(relay, RELAY, address, HEADER.format(ACME_SERVER, 80).strip())
    asked = ["docker", "inspect", "--format", GATEWAY, os.environ["EMPEROR_HOST"]]
    gateway = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    variables = {
        "nginx_proxy_protocol": True,
        "nginx_trusted_proxies": [gateway, address],
        "nginx_acme_directory": acme_server(host, 2, httpPort=8080),
        "more_domains": [ADDED],
    }
    extra = ("-e", json.dumps(variables))
    done = deploy(*extra, playbook="emperor.web.site")
    assert done.returncode == 0, done.stdout[-3000:]
    return extra


@pytest.fixture(scope="module")
def root(root_of, play) -> Path:
    return root_of(15002)


def test_certificate_is_issued(host, address, root):
    assert names(certificate_of(address, root, ADDED)) == {DOMAIN, f"www.{DOMAIN}", ADDED}
    assert challenges(host) >= 3


def test_second_run_changes_nothing(play):
    done = deploy(*play, playbook="emperor.web.site")
    assert re.search(r"server\s+: ok=\d+\s+changed=0 .* failed=0 ", done.stdout), done.stdout[-3000:]


def test_certificate_is_renewed(host, address, root):
    """By the package's unit; what is due comes later than a test can wait, so the date is moved."""
    before, asked = certificate_of(address, root, DOMAIN)["serialNumber"], challenges(host)
    renew_all(host)
    until_other_than(before, lambda: certificate_of(address, root, DOMAIN))
    assert challenges(host) >= asked + 3
