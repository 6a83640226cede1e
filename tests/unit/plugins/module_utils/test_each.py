# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from ansible.module_utils import basic
from ansible_collections.emperor.web.plugins.module_utils._each import Main, run_each

SPEC = {
    "word": {"type": "str", "required": True},
    "number": {"type": "int", "default": 3},
    "key": {"type": "str", "no_log": True},
}


@pytest.fixture(autouse=True)
def _called_by_ansible(monkeypatch):
    """As the module was called, in check mode."""
    internal = {"_ansible_check_mode": True, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp"}
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": internal | {"apps": {}}}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)


def module(act) -> Main:
    def main(create) -> None:
        act(create(argument_spec=SPEC, supports_check_mode=True))

    return main


def results(act, calls: dict[str, dict], parallel: int = 1) -> dict[str, dict]:
    return run_each("emperor.web.test", module(act), calls, parallel)


def told(module_) -> None:
    module_.warn(f"{module_.params['word']} is odd")
    module_.exit_json(
        changed=True, said=module_.params["word"], number=module_.params["number"], check=module_.check_mode
    )


def test_each_has_options_and_a_result_of_its_own():
    got = results(told, {"shop": {"word": "a", "number": "7"}, "blog": {"word": "é 한글"}}, parallel=2)
    assert list(got) == ["shop", "blog"]
    assert (got["shop"]["said"], got["shop"]["number"]) == ("a", 7)
    assert (got["blog"]["said"], got["blog"]["number"]) == ("é 한글", 3)
    assert got["blog"]["changed"] and got["blog"]["check"] is True
    assert got["blog"]["warnings"] == ["é 한글 is odd"]


def test_options_are_validated_for_each():
    got = results(told, {"shop": {}, "blog": {"word": "a", "colour": "red"}, "wiki": {"word": "a"}})
    assert got["shop"]["failed"] and "missing required arguments: word" in got["shop"]["msg"]
    assert got["blog"]["failed"] and "colour" in got["blog"]["msg"]
    assert "failed" not in got["wiki"]


def test_failure_of_one_is_none_of_the_others():
    def fail_for_shop(module_) -> None:
        if module_.params["word"] == "a":
            module_.fail_json(msg="no", log=["line"])
        module_.exit_json()

    got = results(fail_for_shop, {"shop": {"word": "a"}, "blog": {"word": "b"}})
    assert (got["shop"]["failed"], got["shop"]["msg"], got["shop"]["log"]) == (True, "no", ["line"])
    assert got["blog"]["changed"] is False


def test_secrets_are_in_no_result():
    def leak(module_) -> None:
        module_.exit_json(said=f"the key is {module_.params['key']}")

    got = results(leak, {"shop": {"word": "a", "key": "s3cret-of-shop"}})
    assert "s3cret-of-shop" not in json.dumps(got)
    assert got["shop"]["invocation"]["module_args"]["word"] == "a"


def test_the_journal_has_the_name_of_the_module():
    got = results(lambda module_: module_.exit_json(name=module_._name), {"shop": {"word": "a"}})
    assert got["shop"]["name"] == "emperor.web.test"


def test_crash_of_one_is_told():
    def crash(module_) -> None:
        raise RuntimeError("broken")

    got = results(crash, {"shop": {"word": "a"}})
    assert got["shop"]["failed"] and got["shop"]["msg"] == "RuntimeError: broken"
    assert "in crash" in got["shop"]["traceback"]


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda _module: os.kill(os.getpid(), signal.SIGKILL), "its process was killed by signal 9"),
        (lambda _module: os._exit(3), "its process ended without a result"),
        (lambda _module: None, "its process ended without a result"),
    ],
)
def test_a_process_that_says_nothing_has_failed(act, said):
    got = results(act, {"shop": {"word": "a"}})["shop"]
    assert (got["failed"], got["changed"], got["msg"]) == (True, False, said)


def test_apps_are_worked_on_side_by_side():
    def slow(module_) -> None:
        time.sleep(1)
        module_.exit_json()

    started = time.monotonic()
    got = results(slow, {str(number): {"word": "a"} for number in range(4)}, parallel=4)
    assert time.monotonic() - started < 3
    assert [one["took"] >= 1 for one in got.values()] == [True] * 4


def test_who_waits_for_one_app_goes_no_further():
    def busy_blog(module_) -> None:
        if module_.params["word"] == "blog":
            module_.fail_json(msg="busy", busy={"by": "ann"})
        module_.exit_json()

    got = results(busy_blog, {word: {"word": word} for word in ("shop", "blog", "wiki")})
    assert list(got) == ["shop", "blog"]


def test_nothing_goes_on_when_the_module_is_killed(tmp_path):
    """The processes of the apps end with it: a playbook that is started again must not meet them."""
    begun = tmp_path / "begun"

    def note_and_wait(_create) -> None:
        begun.write_text(str(os.getpid()))
        time.sleep(60)

    module_ = os.fork()
    if not module_:
        run_each("emperor.web.test", note_and_wait, {"shop": {}}, 1)
        os._exit(0)
    while not (begun.exists() and begun.read_text()):
        time.sleep(0.02)
    os.kill(module_, signal.SIGKILL)
    os.waitpid(module_, 0)
    child = int(begun.read_text())
    deadline = time.monotonic() + 5
    while state(child) != "Z" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert state(child) == "Z"


def test_another_child_that_ends_is_not_taken_for_one_of_them():
    """The process of the module may have some: under Mitogen it is that of many tasks."""
    other = os.fork()
    if not other:
        os._exit(0)
    os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)
    assert results(told, {"shop": {"word": "a"}})["shop"]["said"] == "a"


def state(pid: int) -> str:
    """The letter of a process's state; of one that is not there any more that of one that has ended."""
    try:
        with open(f"/proc/{pid}/stat") as handle:
            return handle.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
