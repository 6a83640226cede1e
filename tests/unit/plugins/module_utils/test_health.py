# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.emperor.web.plugins.module_utils._health import Expectation, SwitchError, parse_statuses
from ansible_collections.emperor.web.plugins.module_utils._uwsgi import Answer


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("200", {200}, {199, 201}),
        ("200-399,401,403", {200, 302, 399, 401, 403}, {400, 402, 404, 500}),
        (" 200 , 204-205 ", {200, 204, 205}, {201}),
        ("100-599", {100, 599}, set()),
    ],
)
def test_parse_statuses(text, inside, outside):
    found = parse_statuses(text)
    assert inside <= found
    assert not outside & found


@pytest.mark.parametrize("text", ["", "2xx", "200-", "-399", "20", "600", "200;204", "200-399-499", "200,,204", "ok"])
def test_statuses_that_are_none_say_what_to_write(text):
    with pytest.raises(SwitchError, match="is no HTTP status or range; write for example 200-399,401"):
        parse_statuses(text)


def test_a_range_from_large_to_small_is_empty():
    with pytest.raises(SwitchError, match="the range 399-200 is empty; write the smaller status first"):
        parse_statuses("401,399-200")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"all ok", ""),
        (204, b"it is ok, too", ""),
        (500, b"ok", "/health (Host: shop.example.com) answers 500, expected was 200,204"),
        (404, b"ok", "answers 404, expected was 200,204; set the health path to one that exists"),
        (400, b"ok", "expected was 200,204; Django answers so when ALLOWED_HOSTS has not shop.example.com"),
        (200, b"", "has not the text 'ok' that was expected, it begins with ''"),
        (200, b"<p>\n  down </p>" + b"x" * 200, "it begins with '<p> down </p>xxx"),
        (200, b"\xff\xfe", "begins with '\ufffd\ufffd'"),
    ],
)
def test_a_problem_tells_what_came_and_what_was_expected(status, body, said):
    expected = Expectation("/health", "shop.example.com", False, "200,204", "ok")
    problem = expected.problem(Answer(status, {}, body))
    assert said in problem
    assert bool(problem) is bool(said)
    assert len(problem) < 250


def test_any_text_will_do_unless_one_is_given():
    assert not Expectation("/", "shop.example.com", False, "200", "").problem(Answer(200, {}, b""))
