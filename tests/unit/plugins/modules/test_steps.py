# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.emperor.web.plugins.module_utils import _steps
from ansible_collections.emperor.web.plugins.module_utils._lock import Holder, Lock
from ansible_collections.emperor.web.plugins.modules import steps

MINE = Holder("f00d", "ann", "laptop", "another system", 4711, "12345")


@pytest.fixture
def module(monkeypatch, capfd, tmp_path):
    """Run the module as Ansible does; what it printed and wrote to the journal, and what it printed as JSON."""
    journal = tmp_path / "journal"
    journal.touch()

    def log(_self, message, **_more) -> None:
        with journal.open("a") as handle:
            handle.write(f"{message}\n")

    monkeypatch.setattr(basic.AnsibleModule, "log", log)

    def run(*given: dict, known: dict | None = None) -> tuple[str, dict]:
        arguments = {"_ansible_no_log": False, "_ansible_remote_tmp": "/tmp", "steps": given, "known": known or {}}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            steps.main()
        printed = capfd.readouterr().out
        return printed + journal.read_text(), json.loads(printed)

    return run


def release(name: str, apps: dict, **options) -> dict:
    return {"name": name, "module": "django_release", "options": options, "apps": apps}


def files(name: str, path, content: str = "a\n", **more) -> dict:
    """A step that has a file put in place."""
    return {
        "name": name,
        "module": "system_files",
        "options": {"files": [{"path": str(path), "content": content}]},
    } | more


def test_environments_and_keys_are_neither_printed_nor_logged(module, tmp_path):
    apps = {"shop": {"name": "shop", "root": str(tmp_path), "environment": {"API_TOKEN": "s3cret-token"}}}
    apps["blog"] = {"name": "blog", "root": str(tmp_path), "deploy_key": "s3cret-key"}
    text, said = module(
        release("locks", apps, state="unlocked", proxy="http://ann:s3cret-proxy@proxy.example.com"),
        known={"locks": {"wiki": {"changed": False}}},
    )
    assert "s3cret" not in text
    assert "Invoked with" in text and "name=shop" in text, "each app is in the journal"
    assert {app: answer["changed"] for app, answer in said["by_step"]["locks"].items()} == {
        "wiki": False,
        "shop": False,
        "blog": False,
    }


def test_one_app_that_fails_keeps_no_other_from_giving_its_lock_back(module, tmp_path):
    locks = {app: Lock(app, str(tmp_path / app)) for app in ("blog", "shop", "wiki")}
    for lock in locks.values():
        lock.acquire(replace(MINE, token="beef") if lock.app == "blog" else MINE)
    apps = {app: {"name": app, "root": lock.root} for app, lock in locks.items()}
    said = module(release("pruned", apps, state="pruned", lock="last", holder=asdict(MINE)))[1]
    assert [app for app, answer in said["by_step"]["pruned"].items() if answer.get("failed")] == ["blog"], said
    assert said["ended"] == "pruned"
    assert {app: holder.token for app, lock in locks.items() if (holder := lock.holder())} == {"blog": "beef"}


def test_steps_are_done_in_their_order_and_end_with_the_first_that_fails(module, tmp_path):
    first, last = tmp_path / "first", tmp_path / "last"
    wrong = files("wrong", "relative")
    said = module(files("first", first), files("over", first, "b\n"), wrong, files("last", last))[1]
    assert first.read_text() == "b\n" and not last.exists()
    assert said["ended"] == "wrong" and said["by_step"]["wrong"][""]["failed"] and said["by_step"]["last"] == {}
    assert said["changed"] and "failed" not in said, "the action plugin says that it failed"
    said = module(files("first", first, "b\n"), wrong | {"tolerate": True}, files("last", last))[1]
    assert said["ended"] == "" and last.exists()


def test_what_is_known_is_not_done_again(module, tmp_path):
    path = tmp_path / "file"
    said = module(files("first", path), known={"first": {"": {"changed": True, "files": [str(path)]}}})[1]
    assert (
        not path.exists()
        and said["changed"]
        and said["by_step"]["first"] == {"": {"changed": True, "files": [str(path)]}}
    )


def test_who_waits_for_a_lock_or_a_source_goes_no_further(module, tmp_path, monkeypatch):
    other = Lock("shop", str(tmp_path / "shop"))
    other.acquire(MINE)
    apps = {"shop": {"name": "shop", "root": other.root}, "blog": {"name": "blog", "root": str(tmp_path / "blog")}}
    step = release("locks", apps, state="locked", source="https://git.example.com/x") | {"parallel": 1}
    said = module(step, files("last", tmp_path / "last"))[1]
    assert said["ended"] == "locks" and list(said["by_step"]["locks"]) == ["shop"]
    assert said["by_step"]["locks"]["shop"]["busy"]["token"] == "f00d"
    assert not (tmp_path / "last").exists()

    def lacks(create) -> None:
        create(argument_spec={}, supports_check_mode=True).exit_json(wants_archive=True)

    monkeypatch.setattr(_steps, "main_of", lambda _module: lacks)
    assert module({"name": "build", "module": "django_release"})[1]["ended"] == "build"


def test_a_step_takes_what_others_have_found_and_only_for_whom_they_say(module, monkeypatch):
    def tell(create) -> None:
        create(argument_spec={"release": {}, "wsgi": {}}, supports_check_mode=True)
        module_ = create(argument_spec={"release": {}, "wsgi": {}}, supports_check_mode=True)
        module_.exit_json(got=module_.params["release"])

    monkeypatch.setattr(_steps, "main_of", lambda _module: tell)
    known = {
        "build": {
            "shop": {"release": "1", "pending": True},
            "blog": {"release": "2", "pending": False},
        }
    }
    build = release("build", {"shop": {}, "blog": {}})
    hook = {"name": "hook", "module": "django_hook", "apps": {"shop": {}, "blog": {}}}
    hook |= {"take": {"build": ["release"]}, "only": {"build": "pending"}}
    said = module(build, hook, known=known)[1]["by_step"]["hook"]
    assert said["shop"]["got"] == "1" and said["blog"] == {"changed": False, "skipped": True}
    said = module(build, hook | {"take": {"build": ["wsgi"]}}, known=known)[1]
    assert (
        said["ended"] == "hook" and said["by_step"]["hook"][""]["msg"] == "hook of app shop: build does not tell wsgi"
    )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([{"name": "a"}, {"name": "a"}], "steps: a is given twice"),
        ([{"name": "a", "only": {"b": "x"}}], "steps: a waits for b, which is none of the steps before it"),
        ([{"name": "a", "apps": {"shop": "x"}}], "steps: the options of a of app shop are no dictionary"),
        ([{"name": "a", "parallel": 0}], "steps: parallel of a is 0; give 1 or more, or leave it out"),
    ],
)
def test_what_cannot_be_done_is_refused(module, given, problem):
    said = module(*({"module": "django_check"} | step for step in given))[1]
    assert said["failed"] and said["msg"] == problem


def test_other_modules_are_refused(module):
    said = module({"name": "step", "module": "command"})[1]
    assert said["failed"] and "must be one of" in said["msg"]


def test_no_app_is_no_work(module):
    said = module({"name": "check", "module": "django_check", "apps": {}})[1]
    assert (said["changed"], said["by_step"], said["ended"]) == (False, {"check": {}}, "")


def test_each_module_that_is_offered_can_be_run():
    documented = yaml.safe_load(steps.DOCUMENTATION)["options"]["steps"]["suboptions"]["module"]["choices"]
    assert documented == steps.MODULES
    for name in steps.MODULES:
        assert _steps.main_of(name).__module__.endswith(f"._module_{name}")
