# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import ssl
import urllib.error

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _http
from ansible_collections.emperor.web.plugins.module_utils._http import NoAuthorities, open_url

LOGIN = "Basic " + base64.b64encode(b"us@er:pa$s").decode()


def with_login(url: str) -> str:
    return url.replace("://", "://us%40er:pa%24s@")


@pytest.fixture
def recorded():
    """Answers with what it was asked, and keeps it."""
    asked = []

    def answer(request):
        asked.append((request.path, request.headers["Authorization"]))
        return 200, {}, b"text"

    answer.asked = asked
    return answer


def read(url: str, **environment: str) -> bytes:
    with open_url(url, environment, timeout=10) as answer:
        return answer.read()


def test_a_login_is_sent_as_a_header(http_server, recorded):
    with http_server(recorded) as url:
        assert read(with_login(f"{url}/a?b=c")) == b"text"
        assert read(f"{url}/a?b=c") == b"text"
    assert recorded.asked == [("/a?b=c", LOGIN), ("/a?b=c", None)]


def test_a_login_does_not_go_to_another_server(http_server, recorded):
    """Code hosts lead to a store of files elsewhere, which must not see the token, and may refuse a request with it."""
    with http_server(recorded) as store:
        lead = (302, {"Location": f"{store}/file?signature=x"}, b"")
        with http_server(lambda _request: lead) as url:
            assert read(with_login(f"{url}/archive.zip")) == b"text"
    assert recorded.asked == [("/file?signature=x", None)]


def test_a_login_goes_along_on_the_same_server(http_server):
    asked = []

    def answer(request):
        asked.append((request.path, request.headers["Authorization"]))
        return (302, {"Location": "/shop.git"}, b"") if request.path == "/shop" else (200, {}, b"text")

    with http_server(answer) as url:
        assert read(with_login(f"{url}/shop")) == b"text"
    assert asked == [("/shop", LOGIN), ("/shop.git", LOGIN)]


def test_the_proxy_is_the_given_one_only(http_server, recorded, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    with http_server(recorded) as url:
        assert read(f"{url}/direct") == b"text"
        assert read("http://shop.invalid/through", http_proxy=url) == b"text"
    assert [path for path, _login in recorded.asked] == ["/direct", "http://shop.invalid/through"]


def test_a_refusal_has_no_password(http_server):
    with http_server(lambda _request: (403, {}, b"")) as url, pytest.raises(urllib.error.HTTPError) as error:
        read(with_login(url))
    assert "403" in str(error.value)
    shown = f"{error.value} {error.value.url}"
    assert "pa$s" not in shown and "pa%24s" not in shown


def test_https_needs_authorities(monkeypatch):
    monkeypatch.setattr(_http.ssl, "create_default_context", lambda **_options: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with pytest.raises(NoAuthorities, match="no certificate authorities are installed yet"):
        read("https://127.0.0.1:1/")


def test_given_authorities_are_trusted(tmp_path):
    with pytest.raises(OSError, match="none.pem|No such file"):
        read("https://127.0.0.1:1/", SSL_CERT_FILE=str(tmp_path / "none.pem"))
