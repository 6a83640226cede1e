# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users write of processes and timers, what of it is refused, and what their units say."""

from __future__ import annotations

import pytest
from ansible_collections.emperor.web.plugins.module_utils._process_units import (
    UnitError,
    Units,
    celery_environment,
    complete_processes,
    complete_timers,
    for_module,
    is_job,
    quote,
    release_of,
)

WORKER = "celery -A shop worker -l info"
ROOT = "/srv/django/shop"
TIMER = {"command": "python manage.py x", "schedule": "daily"}


def test_a_command_alone_is_completed():
    assert complete_processes("shop", {"worker": WORKER}) == {
        "worker": {"command": WORKER, "stop_timeout": 60, "settle": 6}
    }
    assert complete_processes("shop", None) == complete_timers("shop", None) == {}


def test_options_are_kept():
    given = {"command": f" {WORKER} ", "stop_timeout": "30", "settle": None}
    assert complete_processes("shop", {"beat": given})["beat"] == {"command": WORKER, "stop_timeout": 30, "settle": 6}
    given = TIMER | {"schedule": ["daily", "Mon 04:00"], "timeout": 0, "persistent": "False"}
    completed = {"command": "python manage.py x", "schedule": ["daily", "Mon 04:00"], "timeout": 0, "persistent": False}
    assert complete_timers("shop", {"x": given})["x"] == completed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([WORKER], "processes of app shop are no mapping of names; write for example processes: {worker: cel"),
        ({"Worker": WORKER}, "process Worker of app shop: its name has to be of lower-case letters"),
        ({"a:b": WORKER}, "its name has to be"),
        ({1: WORKER}, "its name has to be"),
        ({"x" * 32: WORKER}, "31 characters at most"),
        ({"worker": ["celery", "worker"]}, "worker of app shop is no mapping with command, stop_timeout, settle"),
        ({"worker": {"comand": "x"}}, "has comand; what it may have is command, stop_timeout, settle"),
        ({"worker": {"stop_timeout": 5}}, "process worker of app shop has no command"),
        ({"worker": ""}, "has no command"),
        ({"worker": None}, "is no mapping"),
        ({"worker": "celery\nworker"}, "has a line break or a control character"),
        ({"worker": "celery \x07"}, "has a line break or a control character"),
        ({"worker": "celery 'worker"}, "cannot be split into words: No closing quotation"),
        ({"worker": "'' x"}, "has no program"),
        ({"worker": "cd x && celery worker"}, "has &&, which only a shell understands"),
        ({"worker": "celery worker > log 2>&1"}, "has >, which only a shell"),
        ({"worker": "celery worker -c $WORKERS"}, r"has \$WORKERS, which only a shell.*write sh -c 'exec ...'"),
        ({"worker": "celery -b redis://:hunter22@db/0 worker"}, "a URL with a password.*put the URL into environment"),
        ({"worker": {"command": "x", "stop_timeout": 0}}, "stop_timeout of process worker of app shop is 0; .* 1 or"),
        ({"worker": {"command": "x", "stop_timeout": "1m"}}, "stop_timeout of process worker of app shop is '1m'"),
        ({"worker": {"command": "x", "settle": True}}, "settle of process worker of app shop is True"),
    ],
)  # fmt: skip
def test_a_process_that_cannot_be_is_refused(given, message):
    with pytest.raises(UnitError, match=message) as error:
        complete_processes("shop", given)
    assert "hunter22" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("python manage.py x", "timer x of app shop is no mapping with command, schedule, timeout, persistent"),
        ({"schedule": "daily"}, "timer x of app shop has no command"),
        ({"command": "x"}, "the schedule of timer x of app shop is ''; write one line of text"),
        (TIMER | {"schedule": 240}, "is 240; .*YAML makes a number of 4:30"),
        (TIMER | {"schedule": []}, r"is \[\]; write"),
        (TIMER | {"schedule": ["daily", ""]}, "write one line of text"),
        (TIMER | {"schedule": "daily\nOnBootSec=1"}, "write one line of text"),
        (TIMER | {"timeout": -1}, "timeout of timer x of app shop is -1; write seconds, 0 or more"),
        (TIMER | {"persistent": "often"}, "persistent of timer x of app shop is 'often'; write true or false"),
        (TIMER | {"stop_timeout": 1}, "has stop_timeout; what it may have is"),
    ],
)
def test_a_timer_that_cannot_be_is_refused(given, message):
    with pytest.raises(UnitError, match=message):
        complete_timers("shop", {"x": given})


def test_a_shell_may_have_what_only_it_understands():
    command = "sh -c 'cd x && exec celery worker -c \"$WORKERS\"'"
    assert complete_processes("shop", {"worker": command})["worker"]["command"] == command


def test_a_process_and_a_timer_have_names_of_their_own():
    with pytest.raises(UnitError, match="processes and timers of app shop both have x"):
        for_module("shop", ROOT, {"processes": {"x": WORKER}, "timers": {"x": TIMER}})


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("celery -A shop beat", True),
        ("sh -c 'exec celery -A shop -b \"$BROKER\" beat'", True),
        (WORKER, False),
        ("python manage.py heartbeat", False),
    ],
)
def test_the_scheduler_of_celery_is_told_where_it_may_write(command, told):
    expected = {"CELERY_BEAT_SCHEDULE": f"{ROOT}/shared/celerybeat-schedule"} if told else {}
    assert celery_environment(complete_processes("shop", {"x": command}), ROOT) == expected


@pytest.mark.parametrize(
    ("word", "quoted"),
    [("a b", '"a b"'), ('"', '"\\""'), ("\\x41", '"\\\\x41"'), ("%n", '"%%n"'), ("$A ;", '"$A ;"'), ("", '""')],
)
def test_words_are_quoted_for_systemd(word, quoted):
    assert quote(word) == quoted


def texts(**options) -> dict[str, list[str]]:
    completed = for_module("shop", ROOT, options)
    return {unit: text.splitlines() for unit, text in Units(**completed, release="3f2a-1").texts()}


def test_the_unit_of_a_process_names_the_release():
    unit = texts(processes={"worker": WORKER}, writable=["/mnt/a b"])["django@shop:worker.service"]
    command = '"/srv/django/shop/releases/3f2a-1" "celery" "-A" "shop" "worker" "-l" "info"'
    for line in (
        "User=shop",
        "Group=shop",
        "SyslogIdentifier=shop-worker",
        f"ExecStart=:/usr/bin/python3 -IS /usr/local/lib/emperor/run.py {command}",
        'ReadWritePaths="-/srv/django/shop/shared"',
        'ReadWritePaths="-/mnt/a b"',
        "Restart=always",
        "TimeoutStopSec=60",
    ):
        assert line in unit
    assert not is_job("\n".join(unit))
    layout = Units("shop", ROOT).layout
    assert release_of("\n".join(unit), layout) == "3f2a-1"
    assert release_of("\n".join(unit), Units("shop", "/srv/django").layout) == ""


def test_the_units_of_a_timer_stay_the_same_with_each_release():
    units = texts(timers={"x": TIMER | {"schedule": ["daily", "Mon 04:00"], "timeout": 0}})
    job, timer = units["django@shop:x.service"], units["django@shop:x.timer"]
    assert 'ExecStart=:/usr/bin/python3 -IS /usr/local/lib/emperor/run.py "/srv/django/shop/current" ' in "\n".join(job)
    assert "TimeoutStartSec=infinity" in job
    assert is_job("\n".join(job)) and not is_job("\n".join(timer))
    assert timer[4:7] == ["OnCalendar=daily", "OnCalendar=Mon 04:00", "Persistent=yes"]
    assert units == {unit: list(lines) for unit, lines in units.items() if "3f2a-1" not in "\n".join(lines)}
