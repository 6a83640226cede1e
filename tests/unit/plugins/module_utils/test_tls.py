# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates, made and judged by the real openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils._tls import (
    Certificate,
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


def options(tmp_path: Path) -> dict:
    return {"folder": str(tmp_path / "tls"), "certbot": str(tmp_path), "acme_directory": None}


def wanted(mode: str, domains: list[str], certificate: str | None = None, private_key: str | None = None) -> dict:
    return {"name": "a", "domains": domains, "mode": mode, "certificate": certificate, "private_key": private_key}


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
    path = Path(made.place.private_key)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert not made.right()
    path.chmod(0o600)
    more = Certificate(wanted("self_signed", ["a.example.com", "b.example.com"]), options(tmp_path))
    assert more.usable()
    assert not more.right()


def test_a_given_pair_is_installed_once(tmp_path, files):
    pair = (read(files, "chain.pem"), read(files, "site.key"))
    given = Certificate(wanted("files", SITE, *pair), options(tmp_path))
    given.check()
    assert not given.right()
    given.make()
    assert given.right()
    assert given.facts().names == set(SITE)


def test_acme_is_not_for_addresses(tmp_path):
    with pytest.raises(TlsError, match=r"not for the address 192\.0\.2\.7; use self_signed or files"):
        Certificate(wanted("acme", ["192.0.2.7"]), options(tmp_path)).check()


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
