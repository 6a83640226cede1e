# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.emperor.web.plugins.filter._tls_sites import tls_sites


def test_only_what_the_module_takes_of_sites_with_tls():
    given = {"certificate": "c", "private_key": "k"}
    sites = [
        {"name": "plain", "domains": ["a"], "root": "/srv"},
        {"name": "off", "domains": ["b"], "tls": False},
        {"name": "issued", "domains": ["c"], "root": "/srv", "tls": "acme"},
        {"name": "given", "domains": ["d"], "tls": "files", **given},
    ]
    certificates = [
        {"name": "issued", "domains": ["c"], "mode": "acme"},
        {"name": "given", "domains": ["d"], "mode": "files", "certificate": "c"},
    ]
    assert tls_sites(sites) == {"certificates": certificates, "private_keys": {"given": "k"}}


def test_apps_have_their_mode_and_their_texts_in_one_option():
    apps = [{"name": "off", "domains": ["a"], "tls": {"tls": "off"}}]
    apps += [{"name": "given", "domains": ["b"], "tls": {"tls": "files", "certificate": "c", "private_key": "k"}}]
    certificates = [{"name": "given", "domains": ["b"], "mode": "files", "certificate": "c"}]
    assert tls_sites(apps) == {"certificates": certificates, "private_keys": {"given": "k"}}
