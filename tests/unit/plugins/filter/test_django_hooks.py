# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.emperor.web.plugins.filter._django_hooks import django_hooks
from ansible_collections.emperor.web.plugins.filter.django_apps import django_apps
from ansible_collections.emperor.web.plugins.module_utils._module_django_hook import ARGUMENTS

APPS = django_apps(
    [
        {"name": "shop", "source": "x", "domains": ["shop.example.com"], "hooks": {"before_check": ["a", "b"]}},
        {"name": "blog", "source": "x", "domains": ["blog.example.com"], "hooks": {"after_check": "c"}},
        {"name": "wiki", "source": "x", "domains": ["wiki.example.com"]},
    ]
)
BUILT = [
    {"app": "shop", "release": "1", "pending": True},
    {"app": "blog", "release": "2", "pending": True},
    {"app": "wiki", "release": "3", "pending": True},
]


def test_each_hook_that_an_app_has_is_a_step():
    steps = django_hooks(APPS, ["before_check", "after_check", "before_migrate"], 60, BUILT)
    assert [(step["name"], step["module"], list(step["apps"])) for step in steps] == [
        ("before_check", "django_hook", ["shop"]),
        ("after_check", "django_hook", ["blog"]),
    ]
    shop = steps[0]["options"] | steps[0]["apps"]["shop"]
    assert shop == {
        "name": "shop",
        "root": "/srv/django/shop",
        "release": "1",
        "step": "before_check",
        "commands": ["a", "b"],
        "timeout": 60,
        "lock": "run",
    }
    assert set(shop) <= set(ARGUMENTS)


def test_a_release_that_is_live_to_the_end_has_none():
    assert django_hooks(APPS, ["before_check"], 60, [BUILT[0] | {"pending": False}, *BUILT[1:]]) == []


def test_before_there_is_a_build_the_hook_takes_what_it_finds():
    [step] = django_hooks(APPS, ["before_check"], 60)
    assert (step["take"], step["only"]) == ({"build": ["release"]}, {"build": "pending"})
    assert "release" not in step["apps"]["shop"]
