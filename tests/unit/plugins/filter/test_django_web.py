# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.emperor.web.plugins.filter import _django_web
from ansible_collections.emperor.web.plugins.filter._django_web import django_web, inside, url_path
from ansible_collections.emperor.web.plugins.filter.django_apps import django_apps

DOMAINS = ["shop.example.com", "www.example.com"]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/static/", "/static/"),
        ("/static", "/static/"),
        ("/a/b/", "/a/b/"),
        ("https://shop.example.com/static/", "/static/"),
        ("//WWW.example.com/static/", "/static/"),
        ("https://shop.example.com:8443/static/", "/static/"),
        ("https://cdn.example.com/shop/", ""),
        ("//cdn.example.com/static/", ""),
        ("https://shop.example.com/", ""),
        ("/", ""),
        ("static/", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_url_path(url, path):
    assert url_path(url, DOMAINS) == path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/r/src/media", True),
        ("/r/src/../src/media/", True),
        ("/r/src", False),
        ("/r/src-other/media", False),
        ("/r/src/../media", False),
        ("", False),
        (None, False),
    ],
)
def test_inside(path, expected):
    assert inside(path, "/r/src") is expected


RELEASE = "/srv/django/shop/releases/3f2a9c1b-7d04e6aa"
SHARED = "/srv/django/shop/shared/media"
FACTS = {
    "static_url": "/static/",
    "static_root": f"{RELEASE}/static",
    "media_url": "/media/",
    "media_root": SHARED,
}
SITE = {
    "name": "shop",
    "domains": DOMAINS,
    "root": "/srv/django/shop",
    "socket": "",
    "static_url": "/static/",
    "media_url": "/media/",
    "media_root": SHARED,
    "path": "/",
    "protected_url": "",
    "protected_root": "/srv/django/shop/shared/protected",
    "client_max_body_size": "",
    "read_timeout": 65,
    "canonical": False,
    "rate_limit": {},
    "balancer_check": "",
    "health_path": "/",
    "error_page": "",
    "template": "",
    "config": "",
    "maintenance": {"page": "", "retry_after": 300, "allow": []},
    "tls": "off",
}


def check(**facts) -> dict:
    """What django_check returns."""
    return {"app": "shop", "project": FACTS | facts}


def web(*checks: dict, **options) -> dict:
    apps = django_apps([{"name": "shop", "source": "x", "domains": DOMAINS} | options])
    return django_web(apps, [{"app": "shop", "path": RELEASE}], list(checks))


def refused(*checks: dict, **options) -> list[str]:
    """What is said against the one app."""
    unfit = web(*checks, **options)["unfit"]
    assert [list(entry) for entry in unfit] in ([], [["app", "refuse"]]) and all(e["app"] == "shop" for e in unfit)
    return unfit[0]["refuse"] if unfit else []


def test_a_project_that_follows_its_environment_needs_no_links():
    assert web(check()) == {"sites": [SITE], "links": [], "unfit": []}


def test_an_app_that_sleeps_is_asked_where_systemd_listens():
    assert web(check(), sleep=900)["sites"] == [SITE | {"socket": "/run/emperor/shop.wake"}]


def test_options_of_the_app_reach_its_site():
    site = web(check(), client_max_body_size="100m", nginx_config="gzip off;", tls="acme")["sites"][0]
    assert site == SITE | {"client_max_body_size": "100m", "config": "gzip off;", "tls": "acme"}


@pytest.mark.parametrize(
    ("facts", "links", "media_root"),
    [
        pytest.param(
            {"static_root": f"{RELEASE}/src/staticfiles"},
            [(f"{RELEASE}/src/staticfiles", f"{RELEASE}/static")],
            SHARED,
            id="static files inside the sources",
        ),
        pytest.param(
            {"media_root": f"{RELEASE}/src/media/"},
            [(f"{RELEASE}/src/media/", SHARED)],
            SHARED,
            id="uploads inside the sources",
        ),
        pytest.param({"media_root": "/data/uploads"}, [], "/data/uploads", id="uploads elsewhere"),
        pytest.param({"static_root": ""}, [], SHARED, id="no static files"),
    ],
)
def test_folders_inside_a_release_are_led_to_where_they_belong(facts, links, media_root):
    result = web(check(**facts))
    assert [(link["path"], link["target"]) for link in result["links"]] == links
    assert result["sites"] == [SITE | {"media_root": media_root}]


def test_links_are_called_by_their_settings():
    links = web(check(static_root=f"{RELEASE}/src/public/static", media_root=f"{RELEASE}/src/media"))["links"]
    assert [link["name"] for link in links] == ["app shop: STATIC_ROOT", "app shop: MEDIA_ROOT"]


@pytest.mark.parametrize(
    ("facts", "options", "told"),
    [
        ({"ssl_redirect": True}, {}, True),
        ({"ssl_redirect": False}, {}, False),
        ({"ssl_redirect": True}, {"tls": "proxy"}, False),
        ({"ssl_redirect": True}, {"tls": "acme"}, False),
        ({"ssl_redirect": True}, {"nginx_template": __file__}, False),
    ],
)
def test_a_redirect_to_a_site_without_tls_is_told(facts, options, told):
    unfit = refused(check(**facts), **options)
    assert ["SECURE_SSL_REDIRECT sends visitors to HTTPS" in text for text in unfit] == [True] * told


@pytest.mark.parametrize(
    ("facts", "folders", "told"),
    [
        ({"media_root": f"{RELEASE}/src/data"}, ["data"], "MEDIA_ROOT is in data of shared_folders"),
        ({"media_root": "/srv/django/shop/shared/data/media"}, ["data"], "MEDIA_ROOT is in data of shared_folders"),
        ({"static_root": "/srv/django/shop/shared/data/static"}, ["data"], "STATIC_ROOT is in data of shared_folders"),
        ({"media_root": f"{RELEASE}/src/media"}, ["media", "data"], ""),
        ({"media_root": f"{RELEASE}/src/data-of-users"}, ["data"], ""),
    ],
)
def test_served_folders_in_shared_ones_are_told(facts, folders, told):
    unfit = refused(check(**facts), shared_folders=folders)
    assert [text.startswith(told) for text in unfit] == [True] * bool(told)


@pytest.mark.parametrize(
    ("name", "unfit"),
    [
        (f"{RELEASE}/src/db.sqlite3", True),
        ("/srv/django/shop/shared/db.sqlite3", False),
        (None, False),  # a server's, which has no path
    ],
)
def test_a_database_inside_a_release_is_told(name, unfit):
    base = {"alias": "default", "engine": "x"} | ({"name": name} if name else {})
    told = refused(check(databases=[base]))
    expected = f"the SQLite database {name} is inside a release, where the next one would not find it"
    assert [text.startswith(expected) for text in told] == [True] * unfit


def test_nginx_waits_longer_than_uwsgi():
    assert web(check(), uwsgi={"harakiri": 300})["sites"][0]["read_timeout"] == 305


def test_files_of_an_app_below_a_path_are_there_too():
    site = web(check(static_url="/shop/static/", media_url="https://cdn.example.com/"), path="/shop/")["sites"][0]
    assert (site["path"], site["static_url"], site["media_url"]) == ("/shop/", "/shop/static/", "")
    with pytest.raises(AnsibleFilterError, match="app shop is below /shop/, but its STATIC_URL is /static/, which"):
        web(check(), path="/shop/")


def test_sites_are_known_before_there_is_a_build():
    apps = django_apps([{"name": "shop", "source": "x", "domains": DOMAINS}])
    assert django_web(apps) == {"sites": [SITE], "links": [], "unfit": []}


def test_a_project_without_uploads_has_no_place_for_them():
    result = web(check(media_url="/", media_root=""))
    assert result == {"sites": [SITE | {"media_url": "", "media_root": ""}], "links": [], "unfit": []}


def test_files_on_other_servers_are_not_served_here():
    site = web(check(static_url="https://cdn.example.com/s/", media_url="//media.example.net/"))["sites"][0]
    assert (site["static_url"], site["media_url"]) == ("", "")


def test_a_release_that_check_mode_could_not_ask_is_what_most_projects_are():
    unbuilt = {"app": "shop", "predicted": False, "changed": False}
    assert web(unbuilt) == {"sites": [SITE], "links": [], "unfit": []}


def test_each_app_has_its_own_site():
    names = ("shop", "blog")
    apps = django_apps([{"name": name, "source": "x", "domains": [f"{name}.example.com"]} for name in names])
    sources = [{"app": name, "path": f"/srv/django/{name}/releases/x"} for name in names]
    checks = [check(static_url=f"/{name}/") | {"app": name} for name in reversed(names)]
    sites = django_web(apps, sources, checks)["sites"]
    assert [(site["name"], site["domains"], site["static_url"]) for site in sites] == [
        ("shop", ["shop.example.com"], "/shop/"),
        ("blog", ["blog.example.com"], "/blog/"),
    ]


def test_sites_have_no_environment():
    """They are shown by the tasks that loop over them."""
    result = web(check(), environment={"SECRET_KEY": "s3cret"})
    assert "s3cret" not in repr(result)


def test_the_filter_is_documented_as_it_is():
    documented = yaml.safe_load(_django_web.DOCUMENTATION)
    assert list(_django_web.FilterModule().filters()) == [documented["name"]] == ["_django_web"]
