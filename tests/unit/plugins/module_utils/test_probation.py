# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.emperor.web.plugins.module_utils._probation import AccessLog, Request, parse

LINE = (
    '203.0.113.9 - - [22/Nov/2026:12:00:00 +0000] "{request}" {status} 145 "-" "curl/8 {agent}" '
    "shop.example.com 0.012 0.011 {upstream} {release}"
)
FIELDS = {"request": "GET / HTTP/1.1", "status": 200, "agent": "", "upstream": "unix:/srv/shop/current/live.sock"}
RELEASE = "bbbbbbbb-00000002"


def line(**fields) -> str:
    return LINE.format(**FIELDS | {"release": RELEASE} | fields)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (line(), Request(200, "unix:/srv/shop/current/live.sock", RELEASE)),
        (line(status=502, release="-"), Request(502, "unix:/srv/shop/current/live.sock", "-")),
        (line(request="GET /?q=] 500 9 HTTP/1.1"), Request(200, "unix:/srv/shop/current/live.sock", RELEASE)),
        (line(agent=r"\x22] \x22x\x22 500 1"), Request(200, "unix:/srv/shop/current/live.sock", RELEASE)),
        ('203.0.113.9 - - [22/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200', None),
        ("", None),
    ],
    ids=["answer", "no answer", "status in the request", "status in the agent", "half a line", "nothing"],
)
def test_what_a_line_tells(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"status":"502","upstream":"unix:/x","release":""}', Request(502, "unix:/x", "-")),
        ('{"status":"404","upstream":"","release":""}', Request(404, "-", "-")),
        ('{"status":"200","upstream":"unix:/x","release":"' + RELEASE + '"}', Request(200, "unix:/x", RELEASE)),
        ('{"status":"200","upst', None),
        ('{"status":"200"}', None),
        ("{}", None),
    ],
)
def test_what_a_line_in_json_tells(text, expected):
    assert parse(text) == expected


@pytest.fixture
def log(tmp_path):
    (tmp_path / "access.log").write_text("old\n")
    log = AccessLog(str(tmp_path / "access.log"))
    yield log
    log.close()


def add(log: AccessLog, text: str) -> None:
    with open(log.path, "a") as handle:
        handle.write(text)


def test_only_what_is_new_and_whole_is_read(log):
    assert log.new_lines() == []
    add(log, "one\ntw")
    assert log.new_lines() == ["one"]
    add(log, "o\n")
    assert log.new_lines() == ["two"]
    assert log.new_lines() == []


def test_nothing_is_lost_when_the_log_is_renamed(log):
    with open(log.path, "a") as handle:
        os.rename(log.path, f"{log.path}.1")
        handle.write("late\n")  # Nginx has it open until it is told
    assert log.new_lines() == ["late"], "there is no new one yet"
    add(log, "new\n")
    assert log.new_lines() == ["new"]


def test_late_lines_of_a_renamed_log_come_before_those_of_the_new_one(log):
    with open(log.path, "a") as handle:
        os.rename(log.path, f"{log.path}.1")
        handle.write("late\n")
    add(log, "new\n")
    assert log.new_lines() == ["late", "new"]


def test_a_log_that_is_emptied_in_its_place_is_read_from_its_start(log):
    add(log, "a long line that is read\n")
    assert log.new_lines() == ["a long line that is read"]
    os.truncate(log.path, 0)
    add(log, "new\n")
    assert log.new_lines() == ["new"]


def test_a_log_that_comes_later_is_read_from_its_start(tmp_path):
    log = AccessLog(str(tmp_path / "access.log"))
    assert log.new_lines() == []
    add(log, "first\n")
    assert log.new_lines() == ["first"]
    log.close()
