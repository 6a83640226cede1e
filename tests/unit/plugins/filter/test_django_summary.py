# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import yaml
from ansible_collections.emperor.web.plugins.filter import _django_summary
from ansible_collections.emperor.web.plugins.filter._django_summary import django_summary
from ansible_collections.emperor.web.plugins.filter.django_apps import django_apps

OLD, NEW = "9e107d9d-372bb682", "3f2a9c1b-7d04e6aa"


def apps(**options) -> list[dict]:
    return django_apps([{"name": "shop", "source": "x", "domains": ["shop.example.com", "www.example.com"]} | options])


def results(**answer) -> dict:
    return {"results": [{"app": "shop", "changed": False, "took": 0.5} | answer]}


def test_a_release_that_went_live():
    plan = [{"app": "shop", "name": f"000{number}_x"} for number in range(1, 8)]
    steps = {
        "build": results(changed=True, took=12.34),
        "check": results(),
        "static files": results(changed=True, added=["a.css", "b.css"], modified=["c.css"], deleted=[]),
        "migrate": results(changed=True, plan=plan),
        "switch": results(changed=True, release=NEW, previous=OLD, took=8.0),
    }
    assert django_summary(apps(version="v1.4.2", tls="acme"), steps) == [
        "shop  https://shop.example.com/",
        f"  release    {NEW}  v1.4.2  live now  before it {OLD}",
        "  migrations 7 applied: shop.0001_x, shop.0002_x, shop.0003_x, shop.0004_x, shop.0005_x, ...",
        "  static     3 files changed",
        "  seconds    build 12.3, check 0.5, static files 0.5, migrate 0.5, switch 8.0",
    ]


def test_nothing_to_do_is_two_lines():
    skipped = {"changed": False, "skipped": True}
    steps = {"build": results(), "migrate": skipped, "switch": results(release=NEW, previous=NEW)}
    assert django_summary(apps(path="/shop"), steps) == [
        "shop  http://shop.example.com/shop/",
        f"  release    {NEW}  live as before",
    ]


def test_check_mode_promises_nothing():
    plan = [{"app": "shop", "name": "0001_initial"}]
    steps = {"migrate": results(changed=True, plan=plan), "switch": results(changed=True, release=NEW, previous="")}
    assert django_summary(apps(), steps, check_mode=True)[1:3] == [
        f"  release    {NEW}  would go live  before it none",
        "  migrations 1 to apply: shop.0001_initial",
    ]


def test_apps_have_blocks_of_their_own():
    two = apps() + django_apps([{"name": "blog", "source": "x", "domains": ["blog.example.com"]}])
    steps = {"switch": {"results": [{"app": name, "release": name} for name in ("shop", "blog")]}}
    assert [line.split()[0] for line in django_summary(two, steps)] == ["shop", "release", "blog", "release"]


def test_the_filter_is_documented_as_it_is():
    documented = yaml.safe_load(_django_summary.DOCUMENTATION)
    assert list(_django_summary.FilterModule().filters()) == [documented["name"]] == ["_django_summary"]
