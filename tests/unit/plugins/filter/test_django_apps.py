# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.emperor.web.plugins.filter.django_apps import (
    DOCUMENTATION,
    EXAMPLES,
    FilterModule,
    django_apps,
)

ROLE = Path(__file__).resolve().parents[4] / "roles" / "django"


def app(**changes) -> dict:
    return {"name": "shop", "source": "https://github.com/acme/shop.git", "domains": ["shop.example.com"]} | changes


def refusal(*apps, **options) -> str:
    with pytest.raises(AnsibleFilterError) as error:
        django_apps(list(apps), **options)
    return str(error.value)


# Hooks.


def test_hooks_are_lists_of_commands():
    hooks = {
        "before_migrate": "python manage.py dumpdata -o a,b",
        "after_switch": ["true", "echo é"],
        "after_check": [],
    }
    [completed] = django_apps([app(hooks=hooks)])
    assert completed["hooks"] == {
        "before_migrate": ["python manage.py dumpdata -o a,b"],
        "after_switch": ["true", "echo é"],
    }
    assert django_apps([app()])[0]["hooks"] == django_apps([app(hooks=None)])[0]["hooks"] == {}


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        (
            {"before_build": "true"},
            "app shop has a hook before_build, and there is no such step; use before_check, after_",
        ),
        (["true"], "hooks of app shop is no mapping of steps to commands; write for example hooks: {before_migrate: "),
        ({"after_check": {"cmd": "true"}}, "the hook after_check of app shop is neither a command nor a list of"),
        ({"after_check": ["true", 1]}, "the hook after_check of app shop is neither a command nor a list of"),
        ({"after_check": [" "]}, "the hook after_check of app shop is neither a command nor a list of"),
    ],
)
def test_bad_hooks_are_refused(hooks, said):
    assert said in refusal(app(hooks=hooks))


# What is refused.


@pytest.mark.parametrize("apps", [[], None, {}, "shop", {"name": "shop"}])
def test_no_apps(apps):
    with pytest.raises(
        AnsibleFilterError, match="django_apps is empty; give a list with at least a name, a source and"
    ):
        django_apps(apps)


@pytest.mark.parametrize("empty", [None, "", "missing"])
@pytest.mark.parametrize(
    ("needed", "where", "sample"),
    [
        ("name", "app number 2", "name: shop"),
        ("source", "app blog", "source: https://github.com/acme/shop.git"),
        ("domains", "app blog", "domains: [shop.example.com]"),
    ],
)
def test_what_is_missing_is_named_with_an_example(needed, where, sample, empty):
    other = app(name="blog", domains=["blog.example.com"])
    if empty == "missing":
        del other[needed]
    else:
        other[needed] = empty
    assert refusal(app(), other) == f"django_apps: {where} has no {needed}; write for example {sample}"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("Shop", "shop"),
        ("my_shop", "my-shop"),
        ("my shop!", "my-shop"),
        ("9lives", "lives"),
        ("-shop", "shop"),
        ("shop.example.com", "shop-example-com"),
        ("x" * 40, "x" * 31),
        ("123", "shop"),
        ("shop\n", "shop"),
    ],
)
def test_a_name_that_is_no_user_has_a_suggestion(name, suggestion):
    message = refusal(app(name=name))
    assert f"the name {name!r} cannot be the name of a Unix user" in message
    assert message.endswith(f"for example {suggestion}")
    assert django_apps([app(name=suggestion)])


@pytest.mark.parametrize("name", ["root", "www-data", "nginx", "postgres", "ubuntu", "sudo", "docker", "uwsgi"])
def test_a_name_of_the_system_is_refused(name):
    expected = f"django_apps: the name {name} belongs to the system; use another one, for example my-{name}"
    assert refusal(app(name=name)) == expected


def test_names_are_unique():
    assert "the name shop is used twice; each needs its own" in refusal(app(), app(domains=["blog.example.com"]))


@pytest.mark.parametrize(("first", "second"), [("a.example.com", "a.example.com"), ("A.Example.com", "a.example.COM")])
def test_domains_are_unique_among_apps(first, second):
    message = refusal(app(domains=["x.example.com", first]), app(name="blog", domains=[second]))
    assert "the domain a.example.com is used twice by shop and blog; each needs its own" in message


@pytest.mark.parametrize(
    "domain",
    [
        "https://shop.example.com",
        "shop.example.com:8000",
        "shop.example.com/",
        "*.example.com",
        ".example.com",
        "a b",
        "a..b",
        "-a.example.com",
        "a-.example.com",
        "shop.example.com.",
        "a;b",
        "x" * 64 + ".com",
        "a." * 130 + "com",
    ],
)
def test_a_domain_that_is_none_says_how_to_write_it(domain):
    message = refusal(app(domains=["good.example.com", domain]))
    assert f"app shop has the domain {domain!r}, which is no host name" in message
    assert message.endswith("write it without scheme, port and path, for example shop.example.com")


@pytest.mark.parametrize("domains", ["shop.example.com", "localhost"])
def test_domains_that_are_no_list_are_one_or_refused_as_such(domains):
    """The role's specification lets a text pass for a list of one."""
    try:
        assert django_apps([app(domains=domains)])[0]["domains"] == [domains]
    except AnsibleFilterError as error:
        assert "list" in str(error)


@pytest.mark.parametrize("root", ["/home", "/home/me/sites", "/root", "/root/x"])
def test_a_root_in_a_home_is_refused(root):
    message = refusal(app(), root=root)
    assert (
        f"django_root: {root} is below a home directory, where the web server cannot enter; use /srv/django" in message
    )


def test_a_root_is_absolute():
    assert "django_root: srv/django has to be an absolute path, for example /srv/django" in refusal(
        app(), root="srv/django"
    )


@pytest.mark.parametrize("root", ["/homes/x", "/rootless", "/srv/home"])
def test_a_root_that_only_looks_like_a_home_is_good(root):
    assert django_apps([app()], root=root)[0]["root"] == f"{root}/shop"


@pytest.mark.parametrize("path", ["/home", "/home/me/data", "/root/data"])
def test_homes_cannot_be_written_to(path):
    expected = f"app shop cannot write to {path}, as home directories are closed to it; use /srv/django/shop/shared"
    assert expected in refusal(app(writable=["/var/cache/shop", path]))


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///db.sqlite3",
        "sqlite3:///db.sqlite3",
        "spatialite:///data/db.sqlite3",
        "sqlite:////srv/django/shop/current/db.sqlite3",
        "sqlite:////srv/django/shop/releases/x/src/db.sqlite3?timeout=20",
        "sqlite:////srv/django/shop/venvs/db.sqlite3",
    ],
)
def test_a_database_inside_a_release_is_refused(url):
    message = refusal(app(environment={"READ_DB": url}))
    assert (
        "READ_DB of app shop puts the SQLite database inside a release, where the next one would not find it" in message
    )
    assert message.endswith("write sqlite:////srv/django/shop/shared/db.sqlite3")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////srv/django/shop/shared/x.sqlite3",
        "sqlite:////var/lib/shop/db?timeout=20",
        "sqlite://:memory:",
        "sqlite:///:memory:",
        "postgres://shop:x@db/shop",
        "x sqlite:///db",
        5,
        True,
    ],
)
def test_other_databases_are_fine(url):
    assert django_apps([app(environment={"DATABASE_URL": url})])[0]["environment"]["DATABASE_URL"] == url


def test_no_refusal_shows_a_value_of_the_environment():
    secrets = {"SECRET_KEY": "s3cret", "CACHE": "sqlite:///s3cret.db"}
    for changes in ({}, {"domains": ["a b"]}, {"name": "root"}):
        assert "s3cret" not in refusal(app(environment=secrets, **changes))


# What is filled in.


def test_what_follows_from_the_domains_is_filled_in():
    given = app(domains=["Shop.example.com", "www.example.com"])
    completed = django_apps([given])[0]
    hosts = "shop.example.com,www.example.com"
    origins = "https://shop.example.com,http://shop.example.com,https://www.example.com,http://www.example.com"
    assert completed["domains"] == hosts.split(",")
    assert completed["environment"] == {
        "ALLOWED_HOSTS": hosts,
        "DJANGO_ALLOWED_HOSTS": hosts,
        "CSRF_TRUSTED_ORIGINS": origins,
        "DJANGO_CSRF_TRUSTED_ORIGINS": origins,
        "DATABASE_URL": "sqlite:////srv/django/shop/shared/db.sqlite3",
    }
    assert completed["root"] == "/srv/django/shop"
    assert completed["emperor"] == {
        "name": "shop",
        "root": "/srv/django/shop",
        "writable": ["/srv/django/shop/shared"],
        "hidden": ["/srv/django"],
        "listen": 1024,
        "limits": {"tasks": 512},
        "sleep": 0,
    }
    assert given == app(domains=["Shop.example.com", "www.example.com"])  # the user's variable stays as it was


@pytest.mark.parametrize(
    ("given", "tls"),
    [
        (None, {"tls": "off"}),
        (False, {"tls": "off"}),  # what YAML makes of off
        ("off", {"tls": "off"}),
        ("self_signed", {"tls": "self_signed"}),
        ("acme", {"tls": "acme"}),
        ({"certificate": "c", "private_key": "k"}, {"tls": "files", "certificate": "c", "private_key": "k"}),
    ],
)
def test_tls(given, tls):
    completed = django_apps([app(tls=given)])[0]
    assert completed["tls"] == tls
    assert completed["packages"] == (["certbot"] if given == "acme" else [])


@pytest.mark.parametrize("given", [True, "on", "files", {"certificate": "c"}, {"certificate": "c", "private_key": ""}])
def test_tls_that_is_none_says_what_it_can_be(given):
    assert "tls of app shop has to be off, self_signed, acme, proxy, or the texts of a certificate" in refusal(
        app(tls=given)
    )


@pytest.mark.parametrize("domain", ["203.0.113.25", "2001:db8::25", "localhost"])
def test_acme_is_for_names_that_its_server_can_reach(domain):
    assert "use self_signed" in refusal(app(domains=["shop.example.com", domain], tls="acme"))
    assert django_apps([app(domains=[domain], tls="self_signed")])


def test_what_is_given_wins():
    environment = {"ALLOWED_HOSTS": "*.internal", "DATABASE_URL": "postgres://db", "MORE": 5}
    given = app(version="v1", extras=["s3"], packages=["libpq5"], writable=["/data"], environment=environment)
    completed = django_apps([given], root="/opt/sites/")[0]
    assert completed["root"] == "/opt/sites/shop"
    assert (completed["version"], completed["extras"], completed["packages"]) == ("v1", ["s3"], ["libpq5"])
    assert completed["emperor"]["writable"] == ["/opt/sites/shop/shared", "/data"]
    assert {name: completed["environment"][name] for name in environment} == environment
    assert completed["environment"]["DJANGO_ALLOWED_HOSTS"] == "shop.example.com"


@pytest.mark.parametrize("given", ["/shop/", "/shop", "shop", "shop/"])
def test_an_app_below_a_path_is_told_so(given):
    complete = django_apps([app(path=given, environment={"MEDIA_URL": "https://cdn.example.com/"})])[0]
    assert (complete["path"], complete["script_name"]) == ("/shop/", "/shop")
    told = {"FORCE_SCRIPT_NAME": "/shop", "STATIC_URL": "/shop/static/", "MEDIA_URL": "https://cdn.example.com/"}
    told |= {"SESSION_COOKIE_PATH": "/shop/", "CSRF_COOKIE_PATH": "/shop/"}
    assert told.items() <= complete["environment"].items()


@pytest.mark.parametrize("given", [None, "", "/"])
def test_an_app_that_is_a_whole_site_is_told_nothing(given):
    complete = django_apps([app(path=given)])[0]
    assert (complete["path"], complete["script_name"]) == ("/", "")
    assert "FORCE_SCRIPT_NAME" not in complete["environment"]


def test_apps_may_share_domains_at_paths_of_their_own():
    assert len(django_apps([app(), app(name="blog", path="/blog/")])) == 2
    twice = refusal(app(path="/blog/"), app(name="blog", path="blog"))
    assert "the domain shop.example.com/blog is used twice by shop and blog" in twice
    message = refusal(app(), app(name="blog", path="/blog/", domains=["shop.example.com", "x.org"]))
    assert "shop and blog share the domain shop.example.com, but not domains; give both the same" in message
    assert "but not tls" in refusal(app(), app(name="blog", path="/blog/", tls="self_signed"))


def test_protected_files_are_told_by_the_names_of_django_sendfile():
    complete = django_apps([app(protected_url="protected")])[0]
    assert complete["protected_url"] == complete["environment"]["SENDFILE_URL"] == "/protected/"
    assert complete["environment"]["SENDFILE_ROOT"] == "/srv/django/shop/shared/protected"
    assert "write a path below /shop/, for example /shop/protected/" in refusal(
        app(path="/shop/", protected_url="/protected/")
    )
    assert "protected_url of app shop is '/a b/'" in refusal(app(protected_url="/a b/"))


def test_files_of_the_controller_are_read_early(tmp_path):
    page = tmp_path / "down.html"
    page.write_text("<p>Gleich zurück")
    complete = django_apps([app(error_page=str(page), nginx_template=str(page))])[0]
    assert (complete["error_page"], complete["nginx_template"]) == ("<p>Gleich zurück", str(page))
    message = refusal(app(error_page=f"{page}.not"))
    assert f"the error page {page}.not of app shop cannot be read on the controller (No such file" in message
    assert "give a template, its path relative to where you are" in refusal(app(nginx_template="/nowhere/x.j2"))


def test_none_is_not_given():
    """So that a playbook can pass on what it may not have."""
    given = app(version=None, extras=None, environment={"ALLOWED_HOSTS": None, "A": ""}, writable=None)
    completed = django_apps([given])[0]
    assert completed["extras"] == []
    assert completed["environment"]["ALLOWED_HOSTS"] == "shop.example.com"
    assert completed["environment"]["A"] == ""
    assert django_apps([app(environment=None)]) == django_apps([app()])


def test_an_ipv4_address_is_a_host():
    completed = django_apps([app(domains=["203.0.113.25"])])[0]
    assert completed["domains"] == ["203.0.113.25"]
    assert completed["environment"]["ALLOWED_HOSTS"] == "203.0.113.25"
    assert completed["environment"]["CSRF_TRUSTED_ORIGINS"] == "https://203.0.113.25,http://203.0.113.25"


@pytest.mark.parametrize("written", ["2001:db8::25", "2001:DB8:0::25", "[2001:db8::25]"])
def test_an_ipv6_address_has_brackets_as_in_a_url(written):
    """Browsers send it so, Django compares it so with ALLOWED_HOSTS, and Nginx with server_name."""
    completed = django_apps([app(domains=[written])])[0]
    assert completed["domains"] == ["[2001:db8::25]"]
    assert completed["environment"]["ALLOWED_HOSTS"] == "[2001:db8::25]"
    assert completed["environment"]["CSRF_TRUSTED_ORIGINS"] == "https://[2001:db8::25],http://[2001:db8::25]"


def test_the_filter_is_documented_as_it_is():
    documented = yaml.safe_load(DOCUMENTATION)
    assert list(FilterModule().filters()) == [documented["name"]] == ["django_apps"]
    assert documented["options"]["root"]["default"] == "/srv/django"
    assert "emperor.web.django_apps" in EXAMPLES


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"health": {"path": "healthz"}},
            "health.path of app shop is 'healthz'; write a path without host, for example /h",
        ),
        ({"health": {"path": "https://x/"}}, "health.path of app shop is 'https://x/'"),
        (
            {"health": {"status": "2xx"}},
            "health.status of app shop is '2xx'; write numbers and ranges, for example 200-",
        ),
        ({"health": {"count": 0}}, "health.count of app shop is 0; write a number, 1 or more"),
        ({"health": {"settle": -1}}, "health.settle of app shop is -1; write a number, 0 or more"),
        ({"probation": "long"}, "probation of app shop is 'long'; write a number, 0 or more"),
        ({"probation_errors": 0}, "probation_errors of app shop is 0; write a number, 1 or more"),
    ],
)
def test_a_health_check_that_cannot_work_is_refused(changes, said):
    assert said in refusal(app(**changes))


def test_a_health_check_that_can_work():
    health = {"path": "/ready?deep=1", "status": "200, 204-206", "text": "ok", "count": "2", "settle": 0}
    complete = django_apps([app(health=health, probation=60, probation_errors=5, overlap=False)])[0]
    assert complete["health"] == health
    assert (complete["probation"], complete["probation_errors"], complete["overlap"]) == (60, 5, False)
    usual = django_apps([app()])[0]
    assert (usual["probation"], usual["probation_errors"], usual["overlap"]) == (0, 3, True)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"uwsgi": {"buffer-size": 65536}}, "app shop: uwsgi: buffer-size is 65536; give a number from 4096 to 65535"),
        ({"uwsgi": {"ini": "/tmp/x"}}, "app shop: uwsgi: ini cannot be given: it would load options from elsewhere"),
        ({"limits": {"cpu": -1}}, "app shop: limits.cpu is -1; give a number from 1 to 100000"),
        ({"limits": {"tasks": 32}}, "limits.tasks is 32, but two releases side by side need 37"),
        ({"limits": {"tasks": 40}, "uwsgi": {"processes": 4, "threads": 5}}, "need 45"),
    ],
)
def test_settings_and_limits_that_cannot_work_are_refused(changes, part):
    with pytest.raises(AnsibleFilterError) as refused:
        django_apps([app(**changes)])
    assert part in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "listen", "limits"),
    [
        ({"uwsgi": {"listen": 2000, "processes": 2}, "limits": {"tasks": 40, "cpu": None}}, 2000, {"tasks": 40}),
        ({"uwsgi": {"workers": 50, "threads": 10, "offload-threads": 1}}, 1024, {"tasks": 2210}),
        ({"uwsgi": {"listen": False}, "limits": {"memory": "1G"}}, None, {"memory": "1G", "tasks": 512}),
    ],
)
def test_the_unit_of_an_app_gets_its_limits(changes, listen, limits):
    emperor = django_apps([app(**changes)])[0]["emperor"]
    assert (emperor["listen"], emperor["limits"]) == (listen, limits)
