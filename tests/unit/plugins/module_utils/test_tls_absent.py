# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates of sites that are gone."""

from __future__ import annotations

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _tls_absent
from ansible_collections.emperor.web.plugins.module_utils._process import Result
from ansible_collections.emperor.web.plugins.module_utils._tls import TlsError
from ansible_collections.emperor.web.plugins.module_utils._tls_absent import Absent


@pytest.fixture
def places(tmp_path):
    folders = {name: tmp_path / name for name in ("folder", "certbot/renewal", "configuration/sites-enabled")}
    for path in folders.values():
        path.mkdir(parents=True)
    return {name.partition("/")[0]: str(tmp_path / name.partition("/")[0]) for name in folders}


def test_a_file_with_its_key_goes(places, tmp_path):
    absent = Absent("shop", places)
    assert not absent.there()
    (tmp_path / "folder/shop.pem").write_text("key")
    assert absent.there()
    absent.remove()
    assert not absent.there()


def test_certbot_forgets_its_own_or_says_why_not(places, tmp_path, monkeypatch):
    ran, codes = [], [0, 1]

    def run(argv, **_options):
        ran.append(argv)
        return Result(argv, codes.pop(0), "", "it is locked")

    monkeypatch.setattr(_tls_absent, "run", run)
    (tmp_path / "certbot/renewal/emperor-shop.conf").write_text("")
    absent = Absent("shop", places)
    absent.remove()
    config = f"--config-dir={places['certbot']}"
    assert ran == [["certbot", "delete", "--non-interactive", "--cert-name=emperor-shop", config]]
    with pytest.raises(TlsError, match="certbot does not delete emperor-shop: it is locked"):
        absent.remove()


@pytest.mark.parametrize(
    ("name", "text", "used"),
    [
        ("emperor-shop.conf", "ssl_certificate {folder}/shop.pem;", False),
        ("mail.conf", "ssl_certificate {folder}/shop.pem;", True),
        ("mail.conf", "ssl_certificate {certbot}/live/emperor-shop/fullchain.pem;", True),
        ("mail.conf", "ssl_certificate {certbot}/live/emperor-shop-2/fullchain.pem;", False),
        ("mail.conf", "ssl_certificate {folder}/blog.pem;", False),
    ],
)
def test_who_uses_it(places, tmp_path, name, text, used):
    (tmp_path / "configuration/sites-enabled" / name).write_text(text.format(**places))
    assert bool(Absent("shop", places).used_by()) is used
