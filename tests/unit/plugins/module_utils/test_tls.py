# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates, made and judged by the real openssl."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _module_tls_certificates as tls_certificates
from ansible_collections.emperor.web.plugins.module_utils import _tls
from ansible_collections.emperor.web.plugins.module_utils._process import Result
from ansible_collections.emperor.web.plugins.module_utils._tls import (
    Certificate,
    Facts,
    Timer,
    TlsError,
    check_pair,
    covered,
    explained,
    facts,
    self_signed,
)

REPOSITORY = Path(__file__).resolve().parents[4]
SITE = ["given.example.com"]


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """The certificates of Molecule's scenario tls."""
    folder = tmp_path_factory.mktemp("certificates")
    script = REPOSITORY / "molecule/tls/make_certificates.sh"
    subprocess.run(["/bin/sh", "-eu", script, folder], check=True, capture_output=True)
    return folder


def read(files: Path, *names: str) -> str:
    return "".join((files / name).read_text() for name in names)


def options(tmp_path: Path, **others: object) -> dict:
    places = {"folder": str(tmp_path / "tls"), "certbot": str(tmp_path)}
    return places | {"private_keys": {}, "acme_directory": None} | others


def wanted(mode: str, domains: list[str], certificate: str | None = None) -> dict:
    return {"name": "a", "domains": domains, "mode": mode, "certificate": certificate}


def lineage(tmp_path: Path, domains: list[str], server: str) -> Path:
    """What certbot has for the site a; returns the key."""
    live = tmp_path / "live/emperor-a"
    live.mkdir(parents=True)
    certificate, key = self_signed(domains)
    (live / "fullchain.pem").write_text(certificate)
    (live / "privkey.pem").write_text(key)
    (live / "privkey.pem").chmod(0o600)
    (tmp_path / "renewal").mkdir()
    (tmp_path / "renewal/emperor-a.conf").write_text(f"[renewalparams]\nserver = {server}\n")
    return live / "privkey.pem"


@pytest.mark.parametrize(
    ("domain", "names", "is_covered"),
    [
        ("a.example.com", {"a.example.com"}, True),
        ("A.example.com", {"a.example.com"}, True),
        ("a.example.com", {"*.example.com"}, True),
        ("b.a.example.com", {"*.example.com"}, False),
        ("example.com", {"*.example.com"}, False),
        ("[2001:db8::1]", {"2001:db8::1"}, True),
    ],
)
def test_covered(domain, names, is_covered):
    assert covered(domain, frozenset(names)) is is_covered


def test_self_signed():
    certificate, key = self_signed(["a.example.com", "192.0.2.7", "[2001:db8:0::1]"])
    found = facts(certificate)
    assert found.names == {"a.example.com", "192.0.2.7", "2001:db8::1"}
    assert found.self_signed
    assert not found.ends_soon()
    assert 360 < found.days() < 366
    assert check_pair(certificate, key, ["a.example.com"]) == []


def test_a_long_name_fits():
    domain = f"{'a' * 60}.{'b' * 60}.example.com"
    assert facts(self_signed([domain])[0]).names == {domain}


def test_a_good_chain(files):
    assert check_pair(read(files, "chain.pem"), read(files, "site.key"), SITE) == []


@pytest.mark.parametrize(
    ("certificate", "key", "domains", "says"),
    [
        (["chain.pem"], "pebble.key", SITE, "the private key belongs to another certificate"),
        (["issuer.pem", "site.pem"], "site.key", SITE, "the private key belongs to another certificate"),
        (["chain.pem"], "site.csr", SITE, "the private key cannot be read"),
        (["site.csr"], "site.key", SITE, "the text is no certificate in PEM"),
        (["chain.pem"], "site.key", [*SITE, "other.example.com"], "for given.example.com, not for other.example.com"),
        (["site.pem", "root.pem"], "site.key", SITE, "certificate 1 of the chain is not signed by certificate 2"),
    ],
)
def test_bad_pairs(files, certificate, key, domains, says):
    with pytest.raises(TlsError, match=says):
        check_pair(read(files, *certificate), read(files, key), domains)


@pytest.mark.parametrize(("start", "end", "says"), [("-20", "-10", "has expired on"), ("10", "20", "valid only from")])
def test_dates(tmp_path, start, end, says):
    """x509 of older openssl knows no dates, so the authority's program makes the certificate."""
    argv = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a", "-keyout", "key"]
    subprocess.run([*argv, "-out", "csr"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "index").touch()
    (tmp_path / "extensions").write_text("subjectAltName=DNS:given.example.com")
    (tmp_path / "config").write_text(
        "[ca]\ndefault_ca=me\n[me]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n"
        "[any]\ncommonName=supplied\n"
    )
    dates = [
        subprocess.run(
            ["date", "-u", "-d", f"{days} days", "+%y%m%d%H%M%SZ"], capture_output=True, text=True, check=True
        )
        for days in (start, end)
    ]
    argv = ["openssl", "ca", "-batch", "-config", "config", "-selfsign", "-keyfile", "key", "-in", "csr", "-notext"]
    argv += ["-startdate", dates[0].stdout.strip(), "-enddate", dates[1].stdout.strip()]
    argv += ["-extfile", "extensions", "-out", "certificate"]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    with pytest.raises(TlsError, match=says):
        check_pair((tmp_path / "certificate").read_text(), (tmp_path / "key").read_text(), SITE)


def test_a_short_key_is_refused(tmp_path):
    """Nginx would refuse it as well, but only when the certificate before is gone."""
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "90", "-subj", "/CN=a"]
    argv += ["-addext", "subjectAltName=DNS:given.example.com", "-keyout", "key", "-out", "certificate"]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    with pytest.raises(TlsError, match="does not take the certificate and its key .*get one with SHA-256"):
        check_pair((tmp_path / "certificate").read_text(), (tmp_path / "key").read_text(), SITE)


@pytest.mark.parametrize(("lasts", "remains", "soon"), [(90, 21, False), (90, 19, True), (6, 2, False), (6, 1, True)])
def test_what_ends_soon_depends_on_how_long_it_lasts(lasts, remains, soon):
    end = time.time() + remains * 86400 + 60
    assert Facts(frozenset(), end - lasts * 86400, end, "", False, "").ends_soon() is soon


def test_a_missing_issuer_is_a_warning(files):
    (warning,) = check_pair(read(files, "site.pem"), read(files, "site.key"), SITE)
    assert "append the issuer's certificate" in warning


def test_a_made_certificate_is_right_until_the_domains_change(tmp_path):
    made = Certificate(wanted("self_signed", ["a.example.com"]), options(tmp_path))
    assert not made.right()
    assert not made.usable()
    made.make()
    assert made.right()
    assert made.usable()
    assert made.warnings == []
    path = Path(made.place.private_key)
    assert path.stat().st_mode & 0o777 == 0o600
    for domains in (["a.example.com", "b.example.com"], ["b.example.com"]):
        other = Certificate(wanted("self_signed", domains), options(tmp_path))
        assert other.usable()
        assert not other.right()


@pytest.mark.parametrize("mode", ["self_signed", "files"])
def test_a_key_that_others_could_read_is_closed_and_said(tmp_path, files, mode):
    pair = (read(files, "chain.pem"), read(files, "site.key"))
    certificate = Certificate(wanted(mode, SITE, pair[0]), options(tmp_path, private_keys={"a": pair[1]}))
    certificate.make()
    path = Path(certificate.place.private_key)
    before = path.read_text()
    path.chmod(0o644)
    assert not certificate.right()
    certificate.make()
    assert certificate.right()
    assert path.stat().st_mode & 0o777 == 0o600
    (warning,) = certificate.warnings
    assert f"others could read the key in {path}" in warning
    assert (path.read_text() == before) is (mode == "files"), "a self-signed one is made anew"


def test_a_given_pair_is_installed_once(tmp_path, files):
    pair = (read(files, "chain.pem"), read(files, "site.key"))
    given = Certificate(wanted("files", SITE, pair[0]), options(tmp_path, private_keys={"a": pair[1]}))
    given.check()
    assert not given.right()
    given.make()
    assert given.right()
    assert given.facts().names == set(SITE)


def test_a_given_certificate_without_a_key(tmp_path, files):
    given = Certificate(wanted("files", SITE, read(files, "chain.pem")), options(tmp_path))
    with pytest.raises(TlsError, match="private_keys has no key"):
        given.check()


def test_acme_is_not_for_addresses(tmp_path):
    with pytest.raises(TlsError, match=r"not for the address 192\.0\.2\.7; use self_signed or files"):
        Certificate(wanted("acme", ["192.0.2.7"]), options(tmp_path)).check()


PUBLIC, TESTS = "https://acme-v02.api.letsencrypt.org/directory", "https://tests.example.com/directory"


@pytest.mark.parametrize(
    ("domains", "server", "asked", "is_right"),
    [
        (["a.example.com"], PUBLIC, None, True),
        (["a.example.com"], TESTS, TESTS, True),
        (["a.example.com"], PUBLIC, TESTS, False),
        (["a.example.com"], TESTS, None, False),
        (["a.example.com", "b.example.com"], PUBLIC, None, False),
        (["b.example.com"], PUBLIC, None, False),
    ],
)
def test_acme_certificate_is_for_exactly_these_names_by_this_server(tmp_path, domains, server, asked, is_right):
    lineage(tmp_path, domains, server)
    certificate = Certificate(wanted("acme", ["a.example.com"]), options(tmp_path, acme_directory=asked))
    assert certificate.right() is is_right


def test_a_key_of_certbot_is_closed_to_others_but_not_to_its_group(tmp_path):
    key = lineage(tmp_path, ["a.example.com"], PUBLIC)
    certificate = Certificate(wanted("acme", ["a.example.com"]), options(tmp_path))
    key.chmod(0o640)
    assert certificate.right()
    key.chmod(0o644)
    assert not certificate.right()
    before = key.read_text()
    certificate.make()
    assert certificate.right()
    assert key.stat().st_mode & 0o777 == 0o640
    assert key.read_text() == before, "nothing was issued"
    assert "others could read" in certificate.warnings[0]


def test_a_certbot_that_hangs_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(_tls, "run", lambda argv, **_options: Result(argv, -9, "", "", timed_out=True))
    given = {"webroot": "/", "reload": "true", "acme_email": None, "timeout": 7}
    certificate = Certificate(wanted("acme", ["a.example.com"]), options(tmp_path, **given))
    with pytest.raises(TlsError, match=r"no certificate for a\.example\.com: certbot had not finished after 7 seconds"):
        certificate.make()


def test_one_site_that_cannot_have_a_certificate_keeps_no_other_from_its_own(tmp_path, run_module):
    """A real certbot, if this machine has one, reaches no server."""
    shared = {"timer": "", "certbot": str(tmp_path / "certbot"), "folder": str(tmp_path / "tls")}
    shared["acme_directory"] = "https://127.0.0.1:1/directory"
    sites = [{"name": "first", "domains": ["first.example.com"], "mode": "acme"}]
    sites += [{"name": "second", "domains": ["second.example.com"], "mode": "self_signed"}]
    outcome = run_module(tls_certificates, shared | {"certificates": sites})
    assert outcome["failed"]
    assert "site first: no certificate for first.example.com" in outcome["msg"]
    assert "second" not in outcome["msg"]
    assert outcome["issued"] == ["second"]
    assert outcome["changed"]
    again = run_module(tls_certificates, shared | {"certificates": sites[1:]})
    assert not again["changed"]
    assert set(again["certificates"]) == {"second"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path, run_module):
    (tmp_path / "tls").write_text("no folder")
    sites = [{"name": "a", "domains": ["a.example.com"], "mode": "self_signed"}]
    outcome = run_module(tls_certificates, {"folder": str(tmp_path / "tls"), "certificates": sites})
    assert outcome["failed"]
    assert "site a: " in outcome["msg"]
    assert str(tmp_path / "tls") in outcome["msg"]


def test_a_host_without_openssl(tmp_path, run_module, monkeypatch):
    """Check mode of a bare host says what it could not look at; the real run has installed it by then."""
    monkeypatch.setenv("PATH", str(tmp_path))
    sites = [{"name": "a", "domains": ["a.example.com"], "mode": "self_signed"}]
    foreseen = run_module(tls_certificates, {"certificates": sites}, check=True)
    assert foreseen["changed"]
    assert foreseen["issued"] == ["a"]
    outcome = run_module(tls_certificates, {"certificates": sites})
    assert outcome["failed"]
    assert outcome["msg"].startswith("openssl is not installed on the host")


@pytest.mark.parametrize("name", ["no-such-thing.timer", ""])
def test_a_timer_that_is_not_there_is_named(name):
    timer = Timer(name)
    assert timer.is_off() is bool(name)
    if name:
        assert f"{name} cannot be started, so nothing would renew the certificates" in timer.start()[0]


def test_certbot_is_quoted_without_its_noise():
    said = """Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for a.example.com

Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: a.example.com
  Type:   dns
  Detail: DNS problem: NXDOMAIN looking up A for a.example.com

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.

Some challenges have failed.
Ask for help or search for solutions at https://community.example.com.
"""
    assert explained(said) == "a.example.com; DNS problem: NXDOMAIN looking up A for a.example.com"
    refused = "Saving debug log to x\nAn unexpected error occurred:\nConnection refused\nAsk for help"
    assert explained(refused) == "An unexpected error occurred: Connection refused"


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (
            "nginx version: nginx/1.26.3\n"
            "built with OpenSSL 3.4.0 22 Oct 2024 (running with OpenSSL 3.5.1 1 Jul 2025)\n"
            "configure arguments: --with-http_v2_module --with-http_v3_module\n",
            {"version": "1.26.3", "openssl": "3.5", "http3": True},
        ),
        (
            "nginx version: nginx/1.18.0 (Ubuntu)\nbuilt with OpenSSL 3.0.2 15 Mar 2022\nTLS SNI support enabled\n",
            {"version": "1.18.0", "openssl": "3.0", "http3": False},
        ),
        ("nginx does not exist, or cannot be run", {"version": "", "openssl": "", "http3": False}),
    ],
)
def test_what_nginx_is_built_with_is_told(said, known):
    assert tls_certificates.built(said) == known
