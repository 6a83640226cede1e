# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Read a URL with the login, the proxy and the certificate authorities that a source needs."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.request
from urllib.parse import unquote, urlsplit

from ansible_collections.emperor.web.plugins.module_utils._environment import without_credentials


class NoAuthorities(OSError):
    """The host trusts no certificate authority yet."""


class _KeepLogin(urllib.request.HTTPRedirectHandler):
    """A redirect to another server does not take the login with it."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        old, target = urlsplit(req.full_url), urlsplit(newurl)
        if new and (old.scheme, old.hostname, old.port) != (target.scheme, target.hostname, target.port):
            new.remove_header("Authorization")
        return new


def open_url(url: str, environment: dict[str, str], timeout: float = 60) -> http.client.HTTPResponse:
    """GET a URL; its user and password go into a header, proxy and authorities come from Git's and curl's variables."""
    parts = urlsplit(url)
    request = urllib.request.Request(without_credentials(url))
    # Some code hosts answer Git alone at the addresses of Git.
    request.add_header("User-Agent", "git/2 (emperor.web)")
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_header("Authorization", "Basic " + base64.b64encode(login).decode())
    context = ssl.create_default_context(cafile=environment.get("SSL_CERT_FILE"))
    if parts.scheme == "https" and not context.cert_store_stats()["x509_ca"]:
        raise NoAuthorities("no certificate authorities are installed yet")
    proxies = {scheme: environment.get(f"{scheme}_proxy") for scheme in ("http", "https")}
    return urllib.request.build_opener(
        _KeepLogin,
        urllib.request.HTTPSHandler(context=context),
        urllib.request.ProxyHandler({scheme: proxy for scheme, proxy in proxies.items() if proxy}),
    ).open(request, timeout=timeout)
