# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.emperor.web.plugins.filter import _django_step
from ansible_collections.emperor.web.plugins.filter._django_step import django_step
from ansible_collections.emperor.web.plugins.filter.django_apps import django_apps
from ansible_collections.emperor.web.plugins.module_utils import (
    _module_django_release,
    _module_uwsgi_vassal,
)

RELEASE = "/srv/django/shop/releases/3f2a9c1b-7d04e6aa"
PROJECT = {
    "project": f"{RELEASE}/src",
    "settings": "shop.settings",
    "virtualenv": f"{RELEASE}/venv",
    "environment_file": f"{RELEASE}/env",
}
SOURCE = PROJECT | {
    "app": "shop",
    "release": "3f2a9c1b-7d04e6aa",
    "wsgi": "shop.wsgi",
    "revision": "3f2a9c1b",
    "pending": True,
}
CHECK = {"app": "shop", "project": {"staticfiles": True, "databases": [{"alias": "default"}]}, "foreseen": {}}


def step(name: str, source: dict | None = None, check: dict | None = None, **options) -> dict | None:
    """The options of the one app; None where it does not need the step."""
    apps = django_apps([{"name": "shop", "source": "x", "domains": ["shop.example.com"]} | options])
    return django_step(apps, name, [SOURCE | (source or {})], [CHECK | (check or {})]).get("shop")


def test_a_source_has_what_was_given_and_nothing_else():
    own = step("source", deploy_key="k", settings="shop.prod", requirements=None)
    assert (own["name"], own["source"], own["deploy_key"], own["settings"]) == ("shop", "x", "k", "shop.prod")
    assert "requirements" not in own and "version" not in own


def test_what_was_resolved_is_what_is_built():
    assert step("source")["revision"] == "3f2a9c1b"
    apps = django_apps([{"name": "shop", "source": "x", "domains": ["shop.example.com"]}])
    assert "revision" not in django_step(apps, "source")["shop"]


def test_each_option_is_one_of_the_module():
    assert set(step("source")) <= set(_module_django_release.ARGUMENTS)
    assert set(step("tidy")) <= set(_module_django_release.ARGUMENTS)
    assert set(step("switch")) <= set(_module_uwsgi_vassal.ARGUMENTS)


def test_check():
    expected = PROJECT | {"user": "shop", "accept": ["security.W004"], "wsgi": "shop.wsgi"}
    expected |= {"foresee": ["migrate", "collectstatic"]}
    assert step("check", accept_checks=["security.W004"]) == expected
    assert step("check", collectstatic=False)["foresee"] == ["migrate"]
    apps = django_apps([{"name": "shop", "source": "x", "domains": ["shop.example.com"]}])
    unknown = {"user": "shop", "accept": [], "foresee": ["migrate", "collectstatic"]}
    assert django_step(apps, "check")["shop"] == unknown, "where the project is comes from another step"


def test_only_apps_that_are_unfit_are_refused():
    apps = django_apps([{"name": n, "source": "x", "domains": [f"{n}.example.com"]} for n in ("shop", "blog")])
    built, unfit = [SOURCE, SOURCE | {"app": "blog"}], [{"app": "shop", "refuse": ["No.", "Nor that."]}]
    expected = {"shop": PROJECT | {"user": "shop", "refuse": ["No.", "Nor that."]}}
    assert django_step(apps, "refuse", built, unfit) == expected


@pytest.mark.parametrize("name", ["collectstatic", "migrate"])
@pytest.mark.parametrize(
    ("foreseen", "hooks", "pending", "needed"),
    [
        ({}, {}, True, True),
        ({"collectstatic": True, "migrate": True}, {}, True, True),
        ({"collectstatic": False, "migrate": False}, {}, True, False),
        ({"collectstatic": False, "migrate": False}, {"after_check": ["true"]}, True, True),
        ({"collectstatic": False, "migrate": False}, {"after_check": ["true"]}, False, False),
    ],
)
def test_what_the_check_has_foreseen_is_left_out(name, foreseen, hooks, pending, needed):
    own = step(name, {"pending": pending}, {"foreseen": foreseen}, hooks=hooks)
    assert (own is not None) is needed


def test_projects_without_static_files_or_databases_need_no_such_step():
    assert step("collectstatic", check={"project": {"staticfiles": False}}) is None
    assert step("collectstatic", collectstatic=False) is None
    assert step("migrate", check={"project": {"databases": []}}) is None


def test_a_release_that_check_mode_could_not_ask_is_taken_on():
    unasked = {"project": {}, "foreseen": {}}
    assert step("collectstatic", check=unasked) == PROJECT | {"user": "shop"}
    assert step("migrate", check=unasked, allow_migrations=["shop.0002_x"])["allow"] == ["shop.0002_x"]


def test_the_module_keeps_its_defaults_for_health_that_was_not_given():
    own = step("switch")
    assert not {"health_path", "health_status", "settle"} & set(own)
    assert (own["release"], own["host"], own["https"]) == (SOURCE["release"], "shop.example.com", False)
    own = step("switch", health={"path": "/healthz", "settle": 0}, tls="acme", overlap=False)
    assert (own["health_path"], own["settle"], own["https"], own["overlap"]) == ("/healthz", 0, True, False)


def test_sites_are_closed_by_a_file_and_opened_without_it():
    [closed], [opened] = step("close")["files"], step("open")["files"]
    assert closed["path"] == opened["path"] == "/srv/django/shop/maintenance"
    assert closed["content"].startswith("Nginx closes the site") and opened["state"] == "absent"
    assert step("pause") == step("tidy") == {"name": "shop", "root": "/srv/django/shop"}


def test_apps_keep_their_own():
    apps = django_apps(
        [{"name": name, "source": name, "domains": [f"{name}.example.com"]} for name in ("shop", "blog")]
    )
    assert {name: own["source"] for name, own in django_step(apps, "source").items()} == {
        "shop": "shop",
        "blog": "blog",
    }


def test_only_apps_with_a_live_release_are_asked():
    apps = django_apps([{"name": name, "source": "x", "domains": [f"{name}.example.com"]} for name in ("shop", "blog")])
    assert django_step(apps, "ask", [SOURCE]) == {"shop": PROJECT | {"user": "shop"}}


def test_a_step_that_does_not_exist_is_refused():
    with pytest.raises(AnsibleFilterError, match="knows no step chekc"):
        step("chekc")


def test_the_filter_is_documented_as_it_is():
    documented = yaml.safe_load(_django_step.DOCUMENTATION)
    assert list(_django_step.FilterModule().filters()) == [documented["name"]] == ["_django_step"]
    assert documented["options"]["step"]["choices"] == list(_django_step._STEPS)
