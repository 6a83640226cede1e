# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils import _module_django_check as django_check
from ansible_collections.emperor.web.plugins.module_utils._django import DjangoModule
from ansible_collections.emperor.web.plugins.module_utils._django_parts import static_code
from ansible_collections.emperor.web.plugins.module_utils._module_django_check import (
    deployment_errors,
    sentence,
    serious,
)
from ansible_collections.emperor.web.plugins.module_utils._release import Layout

from ...releases import deploying, finish, history, mark_of, work_on

GOOD = {"debug": False, "insecure_key": False, "insecure_key_reason": "", "allowed_hosts": ["shop.example.com"]}


def message(level: str = "warning", name: str = "security.W004", **parts) -> dict:
    return {"id": name, "level": level, "object": "", "msg": "No HSTS.", "hint": ""} | parts


@pytest.mark.parametrize(
    ("project", "ids"),
    [
        ({}, []),
        ({"debug": True}, ["emperor.E001"]),
        ({"insecure_key": True}, ["emperor.E002"]),
        ({"allowed_hosts": ["shop.example.com", "*"]}, ["emperor.E003"]),
        ({"allowed_hosts": ["*.example.com", ".example.com"]}, []),
        (
            {"debug": True, "insecure_key": True, "allowed_hosts": ["*"]},
            ["emperor.E001", "emperor.E002", "emperor.E003"],
        ),
    ],
)
def test_mistakes_that_no_public_site_may_have(project, ids):
    found = deployment_errors(GOOD | project)
    assert [error["id"] for error in found] == ids
    assert all(error["level"] == "error" and error["hint"] for error in found)


LEVELS = ["debug", "info", "warning", "error", "critical"]


@pytest.mark.parametrize(
    ("fail_level", "expected"),
    [("info", LEVELS[1:]), ("warning", LEVELS[2:]), ("error", LEVELS[3:]), ("critical", LEVELS[4:])],
)
def test_serious_messages(fail_level, expected):
    messages = [message(level, f"x.{level}") for level in LEVELS]
    assert [found["level"] for found in serious(messages, fail_level, [])] == expected


def test_accepted_messages_are_not_serious():
    messages = [message("error", "a.E001"), message("error", "a.E002"), message("critical", "")]
    assert [found["id"] for found in serious(messages, "error", ["a.E001", "b"])] == ["a.E002", ""]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, "(security.W004) No HSTS."),
        ({"hint": "Set it."}, "(security.W004) No HSTS. Set it."),
        ({"object": "shop.Item", "hint": "Set it."}, "(security.W004) shop.Item: No HSTS. Set it."),
        ({"id": ""}, "No HSTS."),
    ],
)
def test_sentence(parts, expected):
    assert sentence(message(**parts)) == expected


# The module.

ARGUMENTS = {"project": "/srv/x", "settings": "shop.settings", "python": sys.executable}


@pytest.fixture
def project(monkeypatch):
    """What the project answers; keeps what it was asked."""
    asked = []

    def ask(_self, action, _parts, **job):
        asked.append((action, job))
        return {"messages": list(project.messages), "project": GOOD | project.facts}

    project = SimpleNamespace(messages=[], facts={}, asked=asked)
    monkeypatch.setattr(DjangoModule, "ask", ask)
    return project


@pytest.mark.parametrize("check", [False, True])
def test_a_good_project_passes_and_nothing_changes(run_module, project, check):
    project.messages = [message("warning")]
    result = run_module(django_check, ARGUMENTS, check=check)
    assert result["changed"] is False
    assert result["messages"] == [message("warning")]
    assert result["project"] == GOOD
    assert "failed" not in result


def test_the_options_reach_the_project(run_module, project):
    given = {"deploy": True, "tags": ["models"], "databases": ["default"], "wsgi": "shop.wsgi:application"}
    run_module(django_check, ARGUMENTS | given)
    assert project.asked == [("check", given | {"foresee": []})]


def test_what_others_would_do_is_asked_for_with_the_options_that_they_get(run_module, project):
    run_module(django_check, ARGUMENTS | {"foresee": ["collectstatic"], "precompress": ["gzip"]})
    asked = project.asked[0][1]
    assert asked.items() >= {"foresee": ["collectstatic"], "precompress": ["gzip"], "code": static_code()}.items()


def test_serious_messages_fail_with_all_of_them(run_module, project):
    project.messages = [message("error", "a.E1", msg="One."), message("info"), message("critical", "b.E2", msg="Two.")]
    result = run_module(django_check, ARGUMENTS)
    assert result["msg"] == "the project is not fit to serve: (a.E1) One.; (b.E2) Two."
    assert len(result["messages"]) == 3
    assert result["project"] == GOOD


def test_a_release_that_is_not_fit_to_serve_has_failed(run_module, project, tmp_path, monkeypatch):
    layout = Layout(str(tmp_path / "shop"))
    finish(layout, "a-1")
    path = deploying(layout, "a-1")
    Path(path).write_text("{}")
    work_on(layout, monkeypatch)
    project.facts = {"debug": True}
    result = run_module(django_check, ARGUMENTS | {"deploy": True, "environment_file": path})
    assert mark_of(layout, "a-1")["reason"] == history(layout)[0]["reason"] == result["msg"]
    refused = run_module(django_check, ARGUMENTS | {"environment_file": path, "refuse": ["No TLS.", "No room."]})
    assert mark_of(layout, "a-1")["reason"] == history(layout)[1]["reason"] == refused["msg"] == "No TLS.; No room."
    assert mark_of(layout, "a-1")["step"] == "check" and len(project.asked) == 1


def test_deployment_errors_count_on_request_and_can_be_accepted(run_module, project):
    project.facts = {"debug": True}
    assert "failed" not in run_module(django_check, ARGUMENTS)
    result = run_module(django_check, ARGUMENTS | {"deploy": True})
    assert "(emperor.E001) settings: DEBUG is on. Set DEBUG = False, or take it from the environment." in result["msg"]
    accepted = run_module(django_check, ARGUMENTS | {"deploy": True, "accept": ["emperor.E001"]})
    assert "failed" not in accepted
    assert accepted["messages"][0]["id"] == "emperor.E001"


def test_accepting_what_there_is_not_is_told(run_module, project, monkeypatch):
    told = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text: told.append(text))
    project.messages = [message("warning", "a.W001")]
    accept = {"accept": ["a.W001", "a.W002"]}
    run_module(django_check, ARGUMENTS | accept | {"tags": ["models"]})
    assert told == []
    run_module(django_check, ARGUMENTS | accept)
    assert told == ["accept: no message has the id a.W002; ids look like security.W004"]


@pytest.mark.parametrize("entry", ["", "security.W004, security.W008"])
def test_an_id_is_one_word(run_module, project, entry):
    result = run_module(django_check, ARGUMENTS | {"accept": [entry]})
    assert "an id is a word without blanks" in result["msg"]
    assert project.asked == []


@pytest.mark.parametrize(("level", "failed"), [("warning", True), ("error", False)])
def test_fail_level(run_module, project, level, failed):
    project.messages = [message("warning")]
    assert ("failed" in run_module(django_check, ARGUMENTS | {"fail_level": level})) is failed


def test_check_mode_before_the_build_predicts_nothing(run_module, project, tmp_path):
    arguments = {"project": "/x", "settings": "x", "virtualenv": str(tmp_path / "venv")}
    result = run_module(django_check, arguments, check=True)
    assert (result["changed"], result["predicted"]) == (False, False)
    assert project.asked == []
