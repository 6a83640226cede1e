# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role writes for versions of Nginx of which only some are in the images of the other tests."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.emperor.web.plugins.module_utils import _module_tls_certificates as tls_certificates

ROLE = Path(__file__).resolve().parents[3] / "roles" / "nginx"
SITE = {"name": "shop", "domains": ["shop.example.com", "www.shop.example.com"], "root": "/srv/shop"}
PAIR = {"certificate": "/tls/shop.pem", "private_key": "/tls/shop.key", "fingerprint": "00"}
SAID = "nginx version: nginx/{}\nbuilt with OpenSSL {}\nTLS SNI support enabled\nconfigure arguments: {}\n"
# Ubuntu 22.04, Debian 12 and Ubuntu 24.04, the first with a directive for HTTP/2, a current one.
OLDEST, BEFORE, FIRST, NEWEST = "1.18.0", "1.24.0", "1.25.1", "1.30.0"


@pytest.fixture(scope="module")
def lines() -> Callable[..., list[str]]:
    """The directives of a template of the role, with what C(nginx -V) says and with settings."""
    loader = DataLoader()
    known = {"ansible_managed": "managed"}
    known["nginx_sites"] = [SITE | {"tls": "self_signed", "canonical": True}]
    for folder in ("defaults", "vars"):
        known = loader.load_from_file(str(ROLE / folder / "main.yml"), trusted_as_template=True) | known

    def render(template: str, version: str, openssl: str = "3.0.2", built: str = "", **settings: object) -> list[str]:
        nginx = tls_certificates.built(SAID.format(version, openssl, built))
        found = known | settings | {"__nginx_certificates": {"certificates": {"shop": PAIR}, "nginx": nginx}}
        templar = Templar(loader, variables=found)
        site = templar.template(trust_as_template("{{ __nginx_servers | first }}"))
        text = (ROLE / "templates" / template).read_text(encoding="utf-8")
        said = Templar(loader, variables=found | {"site": site}).template(trust_as_template(text))
        return [line.strip() for line in said.splitlines() if line.strip() and not line.strip().startswith("#")]

    return render


@pytest.mark.parametrize(("version", "directive"), [(OLDEST, False), (BEFORE, False), (FIRST, True), (NEWEST, True)])
def test_http2_is_written_as_each_version_takes_it_without_a_warning(lines, version, directive):
    suffix = "" if directive else " http2"
    found = lines("site.conf.j2", version)
    # For those names that lead to the first one, and for the first one.
    assert [line for line in found if "443" in line] == [
        f"listen 443 ssl{suffix};",
        f"listen [::]:443 ssl{suffix};",
    ] * 2
    default = lines("default_tls.conf.j2", version)
    listen = [f"listen 443 ssl{suffix} default_server;", f"listen [::]:443 ssl{suffix} default_server;"]
    assert [line for line in default if "443" in line] == listen
    assert ("http2 on;" in lines("tls.conf.j2", version)) is directive
    for template in ("site.conf.j2", "default_tls.conf.j2"):
        assert "include /etc/nginx/emperor/tls.conf;" in lines(template, version)


@pytest.mark.parametrize(("version", "refuses"), [(OLDEST, False), ("1.19.4", True), (BEFORE, True), (NEWEST, True)])
def test_unknown_names_are_refused_in_the_handshake_where_nginx_can_do_that(lines, version, refuses):
    found = lines("default_tls.conf.j2", version)
    assert ("ssl_reject_handshake on;" in found) is refuses
    assert ("return 421;" in found) is refuses
    # Without that a server with TLS does not start unless it has a certificate.
    assert (f"ssl_certificate {PAIR['certificate']};" in found) is not refuses
    assert (f"ssl_certificate_key {PAIR['private_key']};" in found) is not refuses
    assert ("return 444;" in found) is not refuses


@pytest.mark.parametrize(("version", "kept"), [(OLDEST, True), ("1.23.1", True), ("1.23.2", False), (NEWEST, False)])
def test_tickets_are_off_where_their_keys_would_never_change(lines, version, kept):
    assert ("ssl_session_tickets off;" in lines("tls.conf.j2", version)) is kept


@pytest.mark.parametrize(("openssl", "first"), [("1.1.1f", "X25519"), ("3.0.2", "X25519"), ("3.5.0", "X25519MLKEM768")])
def test_curves_are_those_that_openssl_knows(lines, openssl, first):
    (curves,) = [line for line in lines("tls.conf.j2", NEWEST, openssl) if line.startswith("ssl_ecdh_curve ")]
    assert re.split("[ :;]", curves)[1] == first


@pytest.mark.parametrize(
    ("built", "asked"), [("", True), ("--with-http_v3_module", False), ("--with-http_v3_module", True)]
)
def test_http3_is_only_where_it_is_built_in_and_asked_for(lines, built, asked):
    wanted = bool(built) and asked
    found = lines("site.conf.j2", NEWEST, built=built, nginx_http3=asked)
    assert ("listen 443 quic;" in found) is wanted
    assert (
        "listen 443 quic reuseport default_server;"
        in lines("default_tls.conf.j2", NEWEST, built=built, nginx_http3=asked)
    ) is wanted
