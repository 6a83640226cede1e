# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible_collections.emperor.web.plugins.filter import _nginx_listen
from ansible_collections.emperor.web.plugins.filter._nginx_listen import FilterModule, nginx_listen


def test_without_the_protocol_addresses_are_as_they_were_written():
    written = ["80", "[::]:80", "unix:/run/web.sock", "127.0.0.1:8080"]
    assert nginx_listen(written, False) == written


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("80", "127.0.0.1:80"),
        ("*:8080", "127.0.0.1:8080"),
        ("10.0.0.5:81", "127.0.0.1:81"),
        ("10.0.0.5", "127.0.0.1:80"),
        ("web.example.com:82", "127.0.0.1:82"),
        ("[::]:443", "[::1]:443"),
        ("[2001:db8::5]", "[::1]:80"),
    ],
)
def test_public_addresses_have_the_protocol_and_the_host_itself_has_not(address, local):
    assert nginx_listen([address], True) == [f"{address} proxy_protocol", local]


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "127.0.1.1", "[::1]:80", "localhost:81", "unix:/run/web.sock"])
def test_addresses_that_no_load_balancer_reaches_have_no_protocol(address):
    assert nginx_listen([address], True) == [address]


def test_no_address_is_written_twice():
    listen = nginx_listen(["80", "10.0.0.5:80", "127.0.0.1:443", "443", "[::]:443"], True)
    assert listen == [
        "80 proxy_protocol",
        "10.0.0.5:80 proxy_protocol",
        "127.0.0.1:443",
        "443 proxy_protocol",
        "[::]:443 proxy_protocol",
        "127.0.0.1:80",
        "[::1]:443",
    ]


def test_the_filter_is_documented_as_it_is():
    documented = yaml.safe_load(_nginx_listen.DOCUMENTATION)
    assert list(FilterModule().filters()) == [documented["name"]] == ["_nginx_listen"]
