# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.emperor.web.plugins.filter import _nginx_servers
from ansible_collections.emperor.web.plugins.filter._nginx_servers import FilterModule, nginx_servers

ROLE = Path(__file__).resolve().parents[4] / "roles" / "nginx"
SETTINGS = {"trusted_proxies": ["10.0.0.0/16"]}


def site(**options) -> dict:
    return {"name": "shop", "domains": ["shop.example.com"], "root": "/srv/django/shop"} | options


def servers(*sites: dict, **settings) -> list[dict]:
    return nginx_servers(list(sites), SETTINGS | settings)


def refusal(*sites: dict, **settings) -> str:
    with pytest.raises(AnsibleFilterError) as error:
        servers(*sites, **settings)
    return str(error.value)


def test_options_that_are_left_out_have_the_documented_defaults():
    specs = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    documented = specs["nginx_sites"]["options"]
    (complete,) = servers(site())
    for name, about in documented.items():
        if name != "maintenance" and "default" in about:
            assert complete[name] == about["default"], name
    parts = documented["maintenance"]["options"]
    assert complete["maintenance"] == {name: about["default"] for name, about in parts.items()}
    burst = documented["rate_limit"]["options"]["burst"]["default"]
    assert servers(site(rate_limit={"rate": "5r/m"}))[0]["rate_limit"] == {"rate": "5r/m", "burst": burst}


def test_a_site_is_asked_at_its_live_release_unless_told_otherwise():
    found = servers(site(), site(name="wiki", domains=["wiki.example.com"], socket="/run/emperor/wiki.wake"))
    assert [server["socket"] for server in found] == ["/srv/django/shop/current/live.sock", "/run/emperor/wiki.wake"]


def test_an_absent_site_is_no_server_and_another_app_of_its_domains_becomes_one():
    found = servers({"name": "shop", "state": "absent"}, site(name="blog", path="/blog/"))
    assert [(server["name"], server["mounts"]) for server in found] == [("blog", [])]


@pytest.mark.parametrize("lacking", ["domains", "root"])
def test_a_site_without_what_it_needs_is_refused(lacking):
    expected = f"site shop has no {lacking}, which only one with state: absent can do without"
    assert expected in refusal(site(**{lacking: None}))


def test_sites_of_equal_domains_are_one_server():
    blog, wiki = site(name="blog", path="/blog/"), site(name="my-wiki", path="/wiki/x/", tls=False)
    other = site(name="other", domains=["other.example.com"], path="/only/")
    found = servers(blog, other, wiki, site())
    assert [(server["name"], [mount["name"] for mount in server["mounts"]]) for server in found] == [
        ("shop", ["blog", "my-wiki"]),
        ("other", []),
    ]
    mount = found[0]["mounts"][1]
    assert (mount["script_name"], mount["id"], mount["tls"]) == ("/wiki/x", "my_wiki", "off")
    assert found[0]["script_name"] == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"client_max_body_size": "20 MB"}, "client_max_body_size has to be a number with k, m or g, for example 20m"),
        ({"path": "shop"}, "site shop: the path 'shop' is none; write for example /shop/"),
        ({"path": "/a;b/"}, "site shop: the path '/a;b/' is none"),
        ({"balancer_check": "healthz"}, "balancer_check is 'healthz'; write a path, for example /healthz"),
        ({"rate_limit": {"burst": 5}}, "the rate_limit {'burst': 5} is none; write for example {rate: 10r/s, burst"),
        ({"rate_limit": {"rate": "10/s"}}, "the rate_limit {'rate': '10/s'} is none"),
        ({"rate_limit": {"rate": "10r/s", "burst": -1}}, "is none; write for example"),
    ],
)
def test_a_site_that_nginx_would_not_take_is_refused(options, said):
    assert said in refusal(site(**options))


@pytest.mark.parametrize("options", [{"tls": "proxy"}, {"balancer_check": "/healthz"}])
def test_what_comes_through_a_load_balancer_needs_its_networks(options):
    assert servers(site(**options))
    assert "needs nginx_trusted_proxies, the networks of the load balancer" in refusal(
        site(**options), trusted_proxies=[]
    )


def test_one_check_of_a_load_balancer_asks_one_app():
    other = site(name="other", domains=["other.example.com"], balancer_check="/healthz")
    assert "the sites shop and other have the same balancer_check, /healthz" in refusal(
        site(balancer_check="/healthz"), other
    )
    assert len(servers(site(), site(name="other", domains=["other.example.com"]))) == 2


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_nobody_is_trusted_by_everybody(network):
    assert f"nginx_trusted_proxies has {network}, by which every visitor could claim" in refusal(
        trusted_proxies=[network]
    )


def test_the_proxy_protocol_is_for_load_balancers_that_are_known():
    assert servers(site(), proxy_protocol=True)
    assert "nginx_proxy_protocol needs nginx_trusted_proxies, the networks of the load balancer" in refusal(
        site(), proxy_protocol=True, trusted_proxies=[]
    )


def test_the_proxy_protocol_is_not_for_http3():
    assert servers(site(), http3=True)
    assert "nginx_proxy_protocol and nginx_http3 do not go together" in refusal(site(), proxy_protocol=True, http3=True)


@pytest.mark.parametrize("network", ["10.0.0.1/16", "balancer.example.com", "10.0.0.0/33", ""])
def test_a_proxy_that_is_no_network_is_refused(network):
    assert "which is no address or network" in refusal(trusted_proxies=[network])


@pytest.mark.parametrize(
    ("header", "value"),
    [("X Frame", "DENY"), ("X-Frame-Options", 'a"; return 200 "'), ("X-A", "$host"), ("X-A", "a\nb"), ("X-A", "a\\")],
)
def test_a_header_that_would_be_more_than_one_is_refused(header, value):
    assert "cannot be written for Nginx" in refusal(security_headers={header: value})


def test_the_filter_is_documented_as_it_is():
    documented = yaml.safe_load(_nginx_servers.DOCUMENTATION)
    assert list(FilterModule().filters()) == [documented["name"]] == ["_nginx_servers"]
