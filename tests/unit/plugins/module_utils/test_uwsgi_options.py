# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_options import (
    ALIASES,
    DEFAULTS,
    FLAGS,
    OWNED,
    RANGES,
    UwsgiError,
    check_options,
    number,
    plugins,
    settings,
)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"processes": 8, "harakiri": "30", "lazy-apps": True, "max-requests": False},
        {"route": ["^/x addheader:A: b", "^/y last:"], "log-format": "%(addr) $(x) #"},
        {name: RANGES[name][0] if name in RANGES else True for name in DEFAULTS},
        {name: RANGES[name][1] if name in RANGES else True for name in DEFAULTS},
        {"workers": "%k", "threads": 4, "static-map": "/x=/y", "timer": "42 60", "mules": 2, "spooler": "/tmp/s"},
        {"processes": 8, "cheaper": 2, "cheaper-initial": 3, "cheaper-algo": "busyness", "cheaper-busyness-max": 70},
        {"cheaper": 1, "cheaper-rss-limit-soft": 10**9, "memory-report": True},
        {"max-worker-lifetime": False, "harakiri": False, "reload-on-rss": False, "enable-threads": False},
    ],
)
def test_good_options_pass(options):
    check_options(options)


@pytest.mark.parametrize("name", ["Max-Requests", "max requests", "", "-x", "max_requests", "a=b", "x\nuid", "2x", "p"])
def test_a_name_that_is_none_says_how_to_write_it(name):
    with pytest.raises(
        UwsgiError, match="is no option name of uWSGI; write it as its documentation does, as max-requests"
    ):
        check_options({name: 1})


@pytest.mark.parametrize("name", sorted(OWNED))
def test_what_makes_a_release_is_refused(name):
    with pytest.raises(UwsgiError, match=f"uwsgi: {name} is set by the release itself and cannot be given"):
        check_options({name: "x"})


# By the name of an option a word of the reason.
REASONS = {
    "unchecked": ["ini", "xml", "yaml", "yml", "json", "js", "config", "inherit", "include", "inject-before"],
    "how the file is read": [
        "for",
        "for-readline",
        "endfor",
        "if-env",
        "ifexists",
        "end-if",
        "blacklist",
        "declare-option",
    ],
    "Nginx listens": [
        "http-socket",
        "http",
        "https-socket",
        "http-to",
        "fastcgi-socket",
        "scgi-nph-socket",
        "raw-socket",
    ]
    + ["shared-socket", "map-socket", "udp", "reuse-port", "fastrouter", "rawrouter-to", "sni", "protocol"],
    "journal": ["daemonize", "daemonize2", "logto", "logger", "log-syslog", "pidfile", "safe-pidfile2", "master-fifo"],
    "a new version is a new release": ["touch-reload", "touch-chain-reload", "fs-reload", "py-autoreload", "lazy"]
    + ["py-auto-reload-ignore", "python-auto-reload", "reload-os-env"],
    "an app that is well": ["die-on-idle", "heartbeat"],
    "an Emperor of its own": ["emperor", "emperor-tyrant", "vassal-set", "vassals-inherit", "legion", "legion-cron"]
    + ["zerg", "zerg-server", "zergpool", "subscribe", "subscribe-to", "subscribe2", "st", "subscription-algo"],
    "unit to decide": ["immediate-uid", "add-gid", "cap", "unshare", "chroot", "cgroup", "namespace", "umask"]
    + ["master-as-root", "drop-after-init", "unprivileged-binary-patch", "mount-asap", "limit-nproc", "setns"],
    "use hooks of the app": [
        "exec-as-root",
        "exec-asap",
        "exec-pre-app",
        "call-as-user",
        "hook-post-fork",
        "hook-as-root",
    ],
    "twice": ["cron", "cron2", "unique-cron", "attach-daemon", "smart-attach-daemon2", "worker-exec", "touch-exec"],
    "changes the environment": ["envdir", "unenv"],
    "command line": ["help", "version", "show-config", "cheaper-algo-list", "plugin-list"],
}


@pytest.mark.parametrize(("reason", "name"), [(reason, name) for reason, names in REASONS.items() for name in names])
def test_what_would_break_a_release_or_keep_apps_apart_is_refused(reason, name):
    with pytest.raises(UwsgiError, match=f"uwsgi: {name} cannot be given: .*{reason}"):
        check_options({name: "x"})


@pytest.mark.parametrize("name", [*RANGES, *FLAGS, *ALIASES, "static-map", "mule", "spooler", "log-master", "async"])
def test_what_users_may_give_is_not_refused_by_its_name(name):
    value = RANGES[ALIASES.get(name, name)][0] if ALIASES.get(name, name) in RANGES else True
    try:
        check_options({name: value})
    except UwsgiError as error:
        assert "cannot be given" not in str(error) and "give a number" not in str(error)


@pytest.mark.parametrize(
    "value",
    [None, {"a": 1}, "a\nuid = root", ["a", None], ["a", "b\n"], [["a"]]],
    ids=["None", "mapping", "two lines", "None in a list", "a line end in a list", "list in a list"],
)
def test_a_value_that_is_not_one_line_is_refused(value):
    with pytest.raises(
        UwsgiError, match="the value of route has to be a number, a boolean, one line of text, or a list"
    ):
        check_options({"route": value})


@pytest.mark.parametrize("name", RANGES)
def test_a_number_outside_of_its_range_is_refused_with_the_range(name):
    least, most, _what = RANGES[name]
    for value in (least - 1, most + 1, -1, "many", 2.5, True, [least], f"{least}s", "%k " if name != "x" else ""):
        with pytest.raises(UwsgiError, match=re.escape(f"{name} is {value!r}; give a number from {least} to {most} (")):
            check_options({name: value})


def test_a_flag_is_true_or_false():
    for value in ("yes", 1, "true"):
        with pytest.raises(UwsgiError, match=f"uwsgi: thunder-lock is {value!r}; it is true or false"):
            check_options({"thunder-lock": value})


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"processes": 4, "workers": 8}, "processes and workers are the same option; give one of them"),
        ({"processes": 4, "cheaper": 4}, "cheaper is 4 and processes 4; cheaper has to be less, from 1 to 3"),
        ({"workers": 4, "cheaper": 5}, "cheaper is 5 and processes 4"),
        ({"processes": 4, "cheaper": 2, "cheaper-initial": 5}, "from cheaper (2) to processes (4)"),
        ({"cheaper-initial": 5}, "cheaper-initial does nothing without cheaper"),
        ({"cheaper-algo": "busyness"}, "cheaper-algo does nothing without cheaper"),
        ({"cheaper": 1, "cheaper-busyness-max": 9}, "cheaper-busyness-max does nothing without cheaper-algo: busyness"),
        (
            {"cheaper": 1, "cheaper-algo": "busyness", "cheaper-busyness-max": 20, "cheaper-busyness-min": 20},
            "cheaper-busyness-min is 20; it has to be less than cheaper-busyness-max (20)",
        ),
        ({"cheaper": 1, "cheaper-rss-limit-soft": 5}, "cheaper-rss-limit-soft needs memory-report: true"),
        ({"cheaper": 1, "cheaper-rss-limit-hard": 5}, "has to be more than cheaper-rss-limit-soft"),
        ({"threads": 2, "enable-threads": False}, "threads is 2, but enable-threads is false; leave it true"),
        ({"max-requests": False, "max-requests-delta": 5}, "max-requests-delta does nothing without max-requests"),
        ({"max-worker-lifetime": 60, "min-worker-lifetime": 61}, "from 1 to max-worker-lifetime (60)"),
    ],
)
def test_what_does_not_go_together_is_refused(options, parts):
    with pytest.raises(UwsgiError, match=re.escape(parts)):
        check_options(options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"threads": 1, "processes": 8}, None),
        ({"threads": 2}, True),
        ({"threads": "2", "workers": 1}, None),
        ({"threads": 2, "thunder-lock": False}, None),
    ],
)
def test_several_processes_with_threads_get_a_lock(options, expected):
    assert settings(options).get("thunder-lock") is expected


def test_a_setting_has_one_name():
    assert settings({"workers": 3})["processes"] == 3
    assert "workers" not in settings({"workers": 3})


def test_the_spread_of_lifetimes_goes_with_the_lifetime():
    assert settings({})["max-worker-lifetime-delta"] == 600
    assert "max-worker-lifetime-delta" not in settings({"max-worker-lifetime": False})


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, "python3"), ({"cheaper": 1}, "python3"), ({"cheaper-algo": "busyness"}, "python3,cheaper_busyness")],
)
def test_the_plugins(options, expected):
    assert plugins(options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 4), ({"processes": 2}, 2), ({"processes": "3"}, 3), ({"processes": "%k"}, 7), ({"processes": False}, 7)],
)
def test_a_setting_as_a_number(options, expected):
    assert number(options, "processes", 7) == expected
