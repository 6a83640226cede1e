"""Sites over TLS: what a browser is shown, the redirect, renewal, and an ACME server that is away."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCENARIO = Path(__file__).resolve().parents[1]
FILES = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "certificates"
DOMAIN = "guestbook.example.com"


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
    assert answer.headers.get_all("Strict-Transport-Security") == ["max-age=7200"], "Nginx's alone, not Django's"


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
    assert answer.headers["Strict-Transport-Security"] is None, "it counts over HTTPS only"


def test_static_file_over_tls(address, acme_root):
    page = ask(address, DOMAIN, trusted=acme_root).read().decode()
    style = re.search(r'href="(/static/[^"]+\.css)"', page).group(1)
    answer = ask(address, DOMAIN, style, trusted=acme_root)
    assert answer.status == 200
    assert answer.headers["Strict-Transport-Security"] == "max-age=7200"


def test_unknown_names_are_refused(address):
    """In the handshake, or by a version of Nginx that cannot do that, before an answer."""
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        ask(address, "unknown.example.com")


def test_old_protocols_are_refused_and_http2_is_spoken(address):
    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(address, DOMAIN, **old)
    assert connect(address, DOMAIN).selected_alpn_protocol() == "h2"


def test_no_stapling_of_what_no_server_answers_any_more(host):
    assert "ssl_stapling" not in host.check_output("nginx -T 2>/dev/null")


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


class Visitor(threading.Thread):
    """Somebody who asks over and over, over new connections, and trusts the ACME server alone."""

    def __init__(self, address: str, trusted: Path) -> None:
        super().__init__(daemon=True)
        self.address, self.trusted = address, trusted
        self.asked, self.lost = 0, []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.05):
            self.asked += 1
            try:
                status = ask(self.address, DOMAIN, "/healthz", trusted=self.trusted).status
                self.lost += [] if status == 200 else [str(status)]
            except OSError as error:
                self.lost.append(str(error))

    def __enter__(self) -> Visitor:
        self.start()
        return self

    def __exit__(self, *_error) -> None:
        self._over.set()
        self.join()
        assert self.asked > 5, "that was no test"
        assert self.lost == []


def served(address: str, trusted: Path, name: str = DOMAIN) -> dict:
    """The certificate that Nginx shows."""
    return connect(address, name, trusted).getpeercert()


def names(certificate: dict) -> set[str]:
    return {name for _kind, name in certificate["subjectAltName"]}


def test_the_timer_is_on(host):
    timer = host.service("certbot.timer")
    assert timer.is_enabled
    assert timer.is_running


def renew_all(host) -> None:
    """By the package's unit; what is due comes later than a test can wait, so the date is moved."""
    settings = "/etc/letsencrypt/renewal/emperor-issued.conf"
    host.check_output(f"sed -i '1i renew_before_expiry = 9000 days' {settings}")
    host.check_output("systemctl start certbot.service")
    host.check_output(f"sed -i '/^renew_before_expiry/d' {settings}")


def until_other_than(before: str, get: Callable[[], dict]) -> None:
    """Wait until a certificate with another serial number is served."""
    deadline = time.monotonic() + 20
    while get()["serialNumber"] == before:
        assert time.monotonic() < deadline, "the certificate before is still served"
        time.sleep(0.5)


def test_what_the_timer_starts_renews_what_is_due_and_nothing_else(host, address, acme_root):
    before = served(address, acme_root)["serialNumber"]
    host.check_output("systemctl start certbot.service")
    assert served(address, acme_root)["serialNumber"] == before
    with Visitor(address, acme_root) as visitor:
        renew_all(host)
        until_other_than(before, lambda: served(address, acme_root))
        while visitor.asked <= 5:
            time.sleep(0.1)


def deploy(*extra: str, playbook: str = "emperor.web.deploy") -> subprocess.CompletedProcess:
    argv = ["ansible-playbook", "-i", SCENARIO / "inventory.yml", playbook, *extra]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def changed(host, address, acme_root) -> dict[str, str]:
    """One deploy for a new name, a renewed given certificate, and mended keys; what it said, and the key before."""
    host.check_output("chmod 644 /etc/emperor-tls/signed.pem")
    before = host.check_output("sha256sum /etc/emperor-tls/signed.pem")
    host.check_output("systemctl disable --now certbot.timer")
    with Visitor(address, acme_root):
        variables = {"more_domains": [f"new.{DOMAIN}"], "tls_files": f"{FILES}/renewed"}
        done = deploy("-vvv", "--diff", "-e", json.dumps(variables))
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    return {"said": said, "signed": before}


def test_a_name_that_is_added_gets_into_the_certificate(address, acme_root, changed):
    assert names(served(address, acme_root)) == {DOMAIN, f"www.{DOMAIN}", f"new.{DOMAIN}"}
    assert ask(address, f"new.{DOMAIN}", "/healthz", trusted=acme_root).status == 200


def test_a_given_certificate_is_replaced(address, changed):
    first = subprocess.run(
        ["openssl", "x509", "-noout", "-serial", "-in", FILES / "renewed.pem"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert served(address, FILES / "root.pem", "given.example.com")["serialNumber"] in first.stdout


def test_a_key_that_others_could_read_is_made_anew(host, changed):
    path = "/etc/emperor-tls/signed.pem"
    assert host.file(path).mode == 0o600
    assert host.check_output(f"sha256sum {path}") != changed["signed"]
    assert f"others could read the key in {path}; a new one was made" in changed["said"]


def test_a_timer_that_is_off_is_started(host, changed):
    test_the_timer_is_on(host)


def test_keys_are_never_shown(host, changed):
    key = (FILES / "site.key").read_text().splitlines()[1]
    assert len(key) == 64
    assert key in host.file("/etc/emperor-tls/given.pem").content_string
    assert key not in changed["said"]
    assert key not in host.check_output("journalctl --no-pager --all --output verbose")


def test_a_wrong_certificate_is_refused_before_anything_is_changed(address):
    before = served(address, FILES / "root.pem", "given.example.com")
    done = deploy("-e", f"tls_files={FILES}/wrong")
    assert done.returncode != 0
    assert "site given: the private key belongs to another certificate" in done.stdout + done.stderr
    assert re.search(r"server\s+: ok=\d+\s+changed=0 ", done.stdout), done.stdout[-3000:]
    assert served(address, FILES / "root.pem", "given.example.com") == before


def test_acme_server_that_is_away(host, address, acme_root, changed):
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
        assert ask(address, "given.example.com", trusted=FILES / "root.pem").status == 200
    finally:
        host.check_output("rm -rf /etc/letsencrypt && mv /etc/hidden /etc/letsencrypt")
        done = deploy()
    assert done.returncode == 0, done.stdout[-3000:]
    assert ask(address, DOMAIN, trusted=acme_root).status == 200
    # A name that was removed and leads elsewhere by then would make each renewal fail.
    assert names(served(address, acme_root)) == {DOMAIN, f"www.{DOMAIN}"}


def test_a_name_that_leads_elsewhere_is_said_and_the_certificate_before_serves(address, acme_root, changed):
    before = served(address, acme_root)
    with Visitor(address, acme_root):
        done = deploy("-e", json.dumps({"more_domains": ["nowhere.example.com"]}))
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert (
        "site issued: no certificate for guestbook.example.com, www.guestbook.example.com, nowhere.example.com: "
        in said
    )
    assert re.search(r"nowhere\.example\.com; (?!the site)\S.{10,}?; the site serves as before", said), said[-3000:]
    assert served(address, acme_root) == before


def test_first_certificate_of_a_site_whose_other_names_lead_to_one(host, address, acme_root, changed):
    """Both names have to answer the challenge, before there is a server with TLS, instead of a redirect."""
    host.check_output("rm -rf /etc/letsencrypt")
    done = deploy("-e", json.dumps({"one_name": True}))
    assert done.returncode == 0, done.stdout[-3000:]
    assert names(served(address, acme_root)) == {DOMAIN, f"www.{DOMAIN}"}
    assert ask(address, DOMAIN, trusted=acme_root).status == 200
    other = ask(address, f"www.{DOMAIN}", "/x?y=z", trusted=acme_root)
    assert (other.status, other.headers["Location"]) == (301, f"https://{DOMAIN}/x?y=z")
    assert other.headers.get_all("Strict-Transport-Security") == ["max-age=7200"]


def test_another_acme_server_replaces_the_certificate_and_renews_it(
    host, address, acme_root, acme_server, root_of, changed
):
    before = served(address, acme_root)["serialNumber"]
    done = deploy("-e", f"nginx_acme_directory={acme_server(host, 3)}")
    assert done.returncode == 0, done.stdout[-3000:]
    root = root_of(15003)
    replaced = served(address, root)["serialNumber"]
    assert replaced != before
    renew_all(host)
    until_other_than(replaced, lambda: served(address, root))
    assert ask(address, f"www.{DOMAIN}", trusted=root).status == 200, "a site of two names again"
    done = deploy()
    assert done.returncode == 0, done.stdout[-3000:]
    assert served(address, acme_root), "and back to the first server, for the tests that follow"


def test_gixy_finds_nothing(gixy_says):
    assert gixy_says == ""
