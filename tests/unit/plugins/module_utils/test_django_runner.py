# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What needs no Django; how it works with a real one is tested with real projects."""

from __future__ import annotations

import ast
import inspect
import json
import os
import sys

import pytest
from ansible_collections.emperor.web.plugins.module_utils import (
    _django_check,
    _django_collectstatic,
    _django_migrate,
    _django_runner,
)
from ansible_collections.emperor.web.plugins.module_utils._django_runner import describe, main
from ansible_collections.emperor.web.plugins.modules.django_collectstatic import PARTS

SIBLINGS = "ansible_collections.emperor.web.plugins.module_utils"


@pytest.mark.parametrize("part", [_django_runner, _django_check, _django_migrate, _django_collectstatic, *PARTS])
def test_nothing_is_imported_that_an_app_may_not_have(part):
    """Its text runs in the interpreter of any project, which has Django and no Ansible."""
    tree = ast.parse(inspect.getsource(part))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    sent = {f"{SIBLINGS}.{other.__name__.rpartition('.')[2]}" for other in PARTS} | {SIBLINGS}
    assert {name.split(".")[0] for name in names - sent} - sys.stdlib_module_names - {"__future__"} <= {"django"}


def raised(code: str) -> BaseException:
    try:
        exec(code, {"sys": sys})
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("sys.exit(3)", {"type": "SystemExit", "message": "the project called sys.exit(3) while it was loading"}),
        ("sys.exit('no key')", {"message": "the project called sys.exit('no key') while it was loading"}),
        ("{}['SECRET_KEY']", {"type": "KeyError", "message": "'SECRET_KEY'", "missing_module": None}),
        ("raise ValueError", {"type": "ValueError", "message": "ValueError()"}),
        ("import no_such_package", {"type": "ModuleNotFoundError", "missing_module": "no_such_package"}),
        # The module is there; only a name in it is not, as after an upgrade of Django.
        ("from json import nope", {"type": "ImportError", "missing_module": None}),
    ],
)
def test_an_exception_is_described(code, expected):
    found = describe(raised(code))
    assert {name: found[name] for name in expected} == expected
    assert found["traceback"].startswith("Traceback (most recent call last)")
    json.dumps(found)


def answer_of(monkeypatch, source: str, load=lambda _job: None, parts: dict | None = None) -> dict:
    """What main() writes."""
    monkeypatch.setattr(_django_runner, "load_project", load)
    reading, writing = os.pipe()
    main({"action": "act", "reply_fd": writing}, source, parts)
    with open(reading, encoding="utf-8") as answer:
        return json.load(answer)


def test_a_result_is_answered(monkeypatch):
    assert answer_of(monkeypatch, "def run(job): return job['action'] + 'é'") == {"result": "acté"}


def test_parts_import_each_other_and_leave_no_trace(monkeypatch):
    before = sys.modules.get(SIBLINGS)
    parts = {"_one": "NUMBER = 20", "_two": f"from {SIBLINGS}._one import NUMBER\nNUMBER += 1"}
    source = f"from {SIBLINGS} import _one as one, _two\ndef run(job): return one.NUMBER + _two.NUMBER"
    assert answer_of(monkeypatch, source, parts=parts) == {"result": 41}
    assert sys.modules.get(SIBLINGS) is before
    assert not {f"{SIBLINGS}.{part}" for part in parts} & sys.modules.keys()


def test_a_project_that_exits_is_answered(monkeypatch):
    answer = answer_of(monkeypatch, "", load=lambda _job: sys.exit(1))
    assert "sys.exit(1)" in answer["error"]["message"]
    assert answer["partial"] == {}


def test_what_was_done_before_a_failure_is_answered(monkeypatch):
    source = """
def run(job):
    error = ValueError("half way")
    error.partial_result = {"applied": [1], "unapplied": []}
    raise error
"""
    answer = answer_of(monkeypatch, source)
    assert answer["partial"] == {"applied": [1], "unapplied": []}
    assert answer["error"]["message"] == "half way"
