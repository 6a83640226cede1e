# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apps that are to go, and apps that sleep, as people write them."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.emperor.web.plugins.filter._django_absent import django_absent
from ansible_collections.emperor.web.plugins.filter.django_apps import django_apps
from ansible_collections.emperor.web.plugins.plugin_utils._apps import sleep_seconds

BLOG = {"name": "blog", "source": "x", "domains": ["blog.example.com"]}
GONE = {"name": "shop", "root": "/srv/django/shop", "state": "absent", "purge": False}


@pytest.mark.parametrize(
    ("entry", "gone"),
    [
        ({"name": "shop", "state": "absent"}, GONE),
        ({"name": "shop", "state": "absent", "purge": True}, GONE | {"purge": True}),
        ({"name": "shop", "state": "absent", "purge": "yes"}, GONE | {"purge": True}),
        ({"name": "shop", "state": "absent", "purge": None}, GONE),
        (BLOG | {"name": "shop", "state": "absent"}, GONE),
    ],
)
def test_an_absent_app_needs_only_its_name(entry, gone):
    sites = [{"name": "shop", "state": "absent"}]
    units = [{"name": "shop", "root": "/srv/django/shop", "state": "absent"}]
    assert django_absent([entry, BLOG]) == {"emperors": [gone], "units": units, "sites": sites}
    assert [app["name"] for app in django_apps([entry, BLOG])] == ["blog"]
    assert django_apps([entry]) == []


def test_the_root_is_the_roles():
    assert (
        django_absent([{"name": "shop", "state": "absent"}], "/opt/sites/")["emperors"][0]["root"] == "/opt/sites/shop"
    )


@pytest.mark.parametrize("state", [None, "present"])
def test_others_stay(state):
    assert django_absent([BLOG | {"state": state}]) == {"emperors": [], "units": [], "sites": []}
    assert [app["name"] for app in django_apps([BLOG | {"state": state}])] == ["blog"]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([{"name": "shop", "state": "gone"}], "state of app shop is 'gone'; write absent"),
        ([BLOG | {"purge": True}], "app blog has purge, which removes all its data, but not state: absent"),
        ([{"name": "shop", "state": "absent", "purge": "data"}], "purge of app shop is 'data'; write true or false"),
        ([{"state": "absent"}], "an entry with state: absent has no name"),
        ([{"name": "www-data", "state": "absent", "purge": True}], "the name www-data belongs to the system"),
        ([{"name": "../x", "state": "absent", "purge": True}], "the name '../x' cannot be the name of a Unix user"),
        ([BLOG, {"name": "blog", "state": "absent"}], "the name blog is used twice, once with state: absent"),
        ([{"name": "shop", "state": "absent"}] * 2, "the name shop is used twice, once with state: absent"),
    ],
)
def test_what_could_be_meant_in_two_ways_is_refused(entries, said):
    for check in (django_absent, django_apps):
        with pytest.raises(AnsibleFilterError) as error:
            check(entries)
        assert said in str(error.value)


@pytest.mark.parametrize(
    ("given", "seconds"), [(None, 0), (0, 0), (False, 0), ("0", 0), (2, 2), ("900", 900), (86400, 86400)]
)
def test_sleep(given, seconds):
    assert sleep_seconds({"name": "shop", "sleep": given}) == seconds
    assert django_apps([BLOG | {"sleep": given}])[0]["emperor"]["sleep"] == seconds


@pytest.mark.parametrize("given", [True, -1, 1.5, "15m", "", [900]])
def test_a_time_to_sleep_that_is_none_is_refused(given):
    with pytest.raises(AnsibleFilterError, match="sleep of app blog is .*; write the seconds without a request after"):
        django_apps([BLOG | {"sleep": given}])
