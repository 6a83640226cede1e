"""Sites over TLS: what a browser is shown, the redirect, renewal, and an ACME server that is away."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

SCENARIO = Path(__file__).resolve().parents[1]
FILES = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "certificates"
DOMAIN = "guestbook.example.com"


@pytest.fixture(scope="session")
def acme_root(tmp_path_factory) -> Path:
    """The certificate authority of pebble, which makes a new one at each start."""
    python = "import urllib.request as u; print(u.urlopen('https://localhost:15000/roots/0').read().decode())"
    host = os.environ["EMPEROR_HOST"]
    done = subprocess.run(
        ["docker", "exec", host, "python3", "-c", python], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    path = tmp_path_factory.mktemp("acme") / "root.pem"
    path.write_text(done.stdout)
    return path


def connect(address: str, name: str, trusted: Path | None = None, **limits) -> ssl.SSLSocket:
    """A TLS connection; without trusted the certificate is not judged."""
    context = ssl.create_default_context(cafile=str(trusted)) if trusted else ssl._create_unverified_context()
    for key, value in limits.items():
        setattr(context, key, value)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context.wrap_socket(socket.create_connection((address, 443), timeout=30), server_hostname=name)


def ask(address: str, name: str, path: str = "/", trusted: Path | None = None) -> http.client.HTTPResponse:
    """A page over HTTPS."""
    context = ssl.create_default_context(cafile=str(trusted)) if trusted else ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(name, timeout=30, context=context)
    plain = socket.create_connection((address, 443), timeout=30)
    connection.sock = context.wrap_socket(plain, server_hostname=name)
    connection.request("GET", path)
    return connection.getresponse()


@pytest.mark.parametrize("name", [DOMAIN, f"www.{DOMAIN}"])
def test_certificate_of_the_acme_server(address, acme_root, name):
    answer = ask(address, name, trusted=acme_root)
    assert answer.status == 200
    assert "Sign the guestbook" in answer.read().decode()
    assert answer.headers["Strict-Transport-Security"] == "max-age=3600"


def test_given_certificate_comes_with_its_issuer(address):
    assert ask(address, "given.example.com", trusted=FILES / "root.pem").status == 200


def test_self_signed_certificate_is_for_its_names(host, address):
    assert ask(address, "signed.example.com").status == 200
    text = host.check_output("openssl x509 -noout -ext subjectAltName -in /etc/emperor-tls/signed.pem")
    assert "DNS:signed.example.com" in text
    assert "IP Address:192.0.2.7" in text


@pytest.mark.parametrize("name", [DOMAIN, "signed.example.com", "given.example.com"])
def test_http_is_redirected(address, name):
    connection = http.client.HTTPConnection(address, 80, timeout=30)
    connection.request("GET", "/some/page?with=query", headers={"Host": name})
    answer = connection.getresponse()
    assert answer.status == 301
    assert answer.headers["Location"] == f"https://{name}/some/page?with=query"


def test_static_file_over_tls(address, acme_root):
    page = ask(address, DOMAIN, trusted=acme_root).read().decode()
    style = re.search(r'href="(/static/[^"]+\.css)"', page).group(1)
    answer = ask(address, DOMAIN, style, trusted=acme_root)
    assert answer.status == 200
    assert answer.headers["Strict-Transport-Security"] == "max-age=3600"


def test_unknown_names_are_refused(address):
    """In the handshake, or by a version of Nginx that cannot do that, before an answer."""
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        ask(address, "unknown.example.com")


def test_old_protocols_are_refused_and_http2_is_spoken(address):
    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(address, DOMAIN, **old)
    assert connect(address, DOMAIN).selected_alpn_protocol() == "h2"


def test_keys_are_roots_alone(host):
    for path in ("/etc/emperor-tls/signed.pem", "/etc/emperor-tls/given.pem"):
        assert (host.file(path).mode, host.file(path).user) == (0o600, "root")
    key = host.check_output("readlink -f /etc/letsencrypt/live/emperor-issued/privkey.pem")
    assert host.file(key).mode == 0o600


def test_form_works_over_https(address, acme_root):
    """Django compares the origin of a form with the scheme and host that reached it."""
    answer = ask(address, DOMAIN, "/admin/login/", trusted=acme_root)
    token = re.search(r"csrftoken=(\w+)", answer.headers["Set-Cookie"]).group(1)
    context = ssl.create_default_context(cafile=str(acme_root))
    connection = http.client.HTTPSConnection(DOMAIN, timeout=30, context=context)
    connection.sock = context.wrap_socket(socket.create_connection((address, 443)), server_hostname=DOMAIN)
    origin = f"https://{DOMAIN}"
    headers = {"Cookie": f"csrftoken={token}", "Origin": origin, "Referer": f"{origin}/admin/login/"}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request("POST", "/admin/login/", f"csrfmiddlewaretoken={token}&username=x&password=y", headers)
    answer = connection.getresponse()
    assert answer.status == 200  # the form again, because of the password; 403 would be a refused origin
    assert "Please enter the correct" in answer.read().decode()


def test_renewal_is_served(host, address, acme_root):
    assert host.service("certbot.timer").is_enabled
    before = connect(address, DOMAIN, acme_root).getpeercert()["serialNumber"]
    renewed = host.run("certbot renew --force-renewal --no-random-sleep-on-renew")
    assert renewed.rc == 0, renewed.stderr
    deadline = time.monotonic() + 20
    while connect(address, DOMAIN, acme_root).getpeercert()["serialNumber"] == before:
        assert time.monotonic() < deadline, "the certificate before is still served"
        time.sleep(0.5)


def deploy(*extra: str) -> subprocess.CompletedProcess:
    argv = ["ansible-playbook", "-i", SCENARIO / "inventory.yml", "emperor.web.deploy", *extra]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_acme_server_that_is_away(host, address, acme_root):
    """A valid certificate makes that a warning; a site without one stays as it is, and the play says why."""
    away = ("-e", "nginx_acme_directory=https://localhost:14001/dir")
    done = deploy(*away)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "the present one serves until" in done.stdout + done.stderr
    assert ask(address, DOMAIN, trusted=acme_root).status == 200

    host.check_output("mv /etc/letsencrypt /etc/hidden")
    try:
        done = deploy(*away)
        assert done.returncode != 0
        said = done.stdout + done.stderr
        assert "no certificate for guestbook.example.com, www.guestbook.example.com" in said
        assert "the site serves as before" in said
        connection = http.client.HTTPConnection(address, 80, timeout=30)
        connection.request("GET", "/healthz", headers={"Host": DOMAIN})
        assert connection.getresponse().status == 200
    finally:
        host.check_output("rm -rf /etc/letsencrypt && mv /etc/hidden /etc/letsencrypt")
        done = deploy()
    assert done.returncode == 0, done.stdout[-3000:]
    assert ask(address, DOMAIN, trusted=acme_root).status == 200
