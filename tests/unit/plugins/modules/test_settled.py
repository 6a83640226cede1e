# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
import yaml
from ansible_collections.emperor.web.plugins.module_utils import _steps
from ansible_collections.emperor.web.plugins.modules import settled


def file_step(path, content: str = "a\n", **more) -> dict:
    """A step that wants a file to be there."""
    step = {
        "name": path.name,
        "module": "system_files",
        "options": {"files": [{"path": str(path), "content": content}]},
    }
    return step | more


@pytest.fixture
def right(tmp_path):
    """A file as a step wants it."""
    path = tmp_path / "right"
    path.write_text("a\n")
    path.chmod(0o644)
    return path


def compare(run_module, *steps: dict, check: bool = False) -> dict:
    return run_module(settled, {"steps": list(steps)}, check=check)


def test_what_is_as_it_should_be(run_module, right):
    said = compare(run_module, {"name": "host", "module": "host_info"}, file_step(right))
    assert (said["changed"], said["differs"]) == (False, [])
    assert said["by_step"]["host"][""]["system"]["id"]
    assert said["by_step"]["right"][""]["files"] == []


def test_what_differs_is_left_as_it_is(run_module, tmp_path):
    said = compare(run_module, file_step(tmp_path / "new", verify=True))
    assert said["differs"] == ["new: would be changed"] and not said["changed"]
    assert os.listdir(tmp_path) == []


def test_the_first_difference_ends_it_but_for_what_is_required(run_module, tmp_path, right):
    late, wrong = file_step(right, after=["new"]), tmp_path / "wrong"
    refused = {"name": "refused", "module": "system_files", "required": True}
    refused["options"] = {"files": [{"path": str(wrong), "content": "", "mode": "rw"}]}
    said = compare(run_module, file_step(tmp_path / "new"), late)
    assert said["by_step"]["right"] == {}
    said = compare(run_module, file_step(tmp_path / "new"), late, refused)
    assert said["failed"] and said["msg"] == f"mode 'rw' of {wrong} is no octal number; write it as '0644'"
    assert "by_step" not in said


def test_what_a_step_lacks_keeps_no_required_one_from_running(run_module, right, monkeypatch):
    monkeypatch.setattr(settled, "usual_parallel", lambda: 1)
    first = {"name": "first", "module": "system_files", "apps": {"shop": file_step(right)["options"]}}
    lacking = {"name": "second", "module": "system_files", "apps": {"shop": {}}, "take": {"first": ["links"]}}
    refused = {"name": "third", "module": "system_files", "after": ["first"], "required": True}
    refused["options"] = {"files": [{"path": "relative", "content": ""}]}
    said = compare(run_module, first, lacking, refused)
    assert said["failed"] and said["msg"] == "path 'relative' has to be absolute"


def test_what_is_refused_says_what_a_command_has_said(run_module, monkeypatch):
    def fail(create) -> None:
        create(argument_spec={}, supports_check_mode=True).fail_json(msg="no", rc=2, stderr="broken", issued=["a"])

    monkeypatch.setattr(settled, "main_of", lambda _name: fail)
    step = {"name": "a", "module": "host_info", "required": True}
    said = compare(run_module, step)
    assert (said["msg"], said["rc"], said["stderr"]) == ("no", 2, "broken") and "issued" not in said
    said = compare(run_module, step, step | {"name": "b"})
    assert said["msg"] == "no; no" and "rc" not in said


def test_a_failure_that_is_not_required_is_a_difference(run_module, right):
    said = compare(run_module, file_step(right, options={"files": [{"path": "relative", "content": ""}]}))
    assert said["differs"] == ["right: path 'relative' has to be absolute"]


def test_each_app_has_options_of_its_own_and_is_told_of_by_name(run_module, tmp_path, right):
    there, gone = ({"files": [{"path": str(path), "content": "a\n"}]} for path in (right, tmp_path / "gone"))
    step = {"name": "files", "module": "system_files", "apps": {"shop": there, "blog": gone}}
    assert compare(run_module, step)["differs"] == ["files of app blog: would be changed"]
    only = compare(
        run_module, step | {"apps": {"shop": there}}, {"name": "host", "module": "host_info", "after": ["files"]}
    )
    assert set(only["by_step"]["files"]) == {"shop"} and only["by_step"]["host"]
    none = compare(run_module, step | {"apps": {}}, {"name": "host", "module": "host_info", "after": ["files"]})
    assert none["by_step"]["files"] == {} and none["by_step"]["host"]


def test_a_step_takes_what_another_one_has_found(run_module, right):
    """The files that were found wrong, none, are those of the second step, which has to have some."""
    first = {"name": "first", "module": "system_files", "apps": {"shop": file_step(right)["options"]}}
    second = {"name": "second", "module": "system_files", "apps": {"shop": {}}, "take": {"first": ["files"]}}
    assert "missing required" in compare(run_module, first, second | {"take": {}})["differs"][0]
    said = compare(run_module, first, second)
    assert said["differs"] == [] and said["by_step"]["second"]["shop"]["files"] == []
    said = compare(run_module, first, second | {"take": {"first": ["files", "links"]}})
    assert said["differs"] == ["second of app shop: first does not tell links"]


def test_what_would_change_nothing_is_run_for_real_where_that_is_wanted(run_module, right, monkeypatch):
    """Seen by what a module does in check mode only."""
    monkeypatch.setattr(settled, "main_of", lambda _name: lambda create: tell_mode(create))
    steps = [{"name": name, "module": "host_info", "verify": name == "verified"} for name in ("seen", "verified")]
    real = {name: by_app[""]["real"] for name, by_app in compare(run_module, *steps)["by_step"].items()}
    assert real == {"seen": False, "verified": True}
    checked = compare(run_module, *steps, check=True)["by_step"]
    assert [by_app[""]["real"] for by_app in checked.values()] == [False, False]


def tell(create, result: dict) -> None:
    create(argument_spec={}, supports_check_mode=True).exit_json(**result)


def tell_mode(create) -> None:
    module = create(argument_spec={}, supports_check_mode=True)
    module.exit_json(real=not module.check_mode)


@pytest.mark.parametrize("told", ["failed", "changed"])
def test_what_only_the_real_run_finds(run_module, told, monkeypatch):
    def act(create) -> None:
        module = create(argument_spec={}, supports_check_mode=True)
        module.exit_json(**({} if module.check_mode else {told: True, "msg": "it does not answer"}))

    monkeypatch.setattr(settled, "main_of", lambda _name: act)
    said = compare(run_module, {"name": "live", "module": "host_info", "verify": True})
    assert said["differs"] == (["live: it does not answer"] if told == "failed" else [])
    assert said["changed"] is (told == "changed")


@pytest.mark.parametrize(
    ("result", "differs"),
    [
        ({"pending": True}, "live: would be put live"),
        ({"foreseen": {"migrate": True, "collectstatic": True}}, "live: has to migrate and collectstatic"),
        ({"foreseen": {"migrate": False}, "pending": False}, None),
        ({"wants_archive": True}, "live: would be changed"),
    ],
)
def test_other_ways_to_say_that_something_is_to_do(run_module, result, differs, monkeypatch):
    monkeypatch.setattr(settled, "main_of", lambda _name: lambda create: tell(create, result))
    assert compare(run_module, {"name": "live", "module": "host_info"})["differs"] == ([differs] if differs else [])


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([{"name": "a"}, {"name": "a"}], "steps: a is given twice"),
        ([{"name": "a", "after": ["b"]}, {"name": "b"}], "steps: a waits for b, which is none of the steps before it"),
        ([{"name": "a", "take": {"a": []}}], "steps: a waits for a, which is none of the steps before it"),
        ([{"name": "a", "apps": {"shop": "x"}}], "steps: the options of a of app shop are no dictionary"),
    ],
)
def test_steps_that_cannot_be(run_module, steps, problem):
    said = compare(run_module, *({"module": "host_info"} | step for step in steps))
    assert said["failed"] and said["msg"] == problem


def test_secrets_of_steps_are_not_told(run_module, tmp_path):
    app = {"name": "shop", "root": str(tmp_path), "state": "unlocked", "environment": {"TOKEN": "s3cret-token"}}
    step = {"name": "release", "module": "django_release", "apps": {"shop": app}}
    said = compare(run_module, step)
    assert said["differs"] == [] and "s3cret" not in str(said)
    said = compare(run_module, step | {"module": "host_info"})
    assert said["differs"] and "s3cret" not in str(said)


def test_each_module_that_is_offered_can_be_run():
    documented = yaml.safe_load(settled.DOCUMENTATION)["options"]["steps"]["suboptions"]["module"]["choices"]
    assert documented == settled.MODULES
    for name in settled.MODULES:
        assert _steps.main_of(name).__module__.endswith(f"._module_{name}")
