# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.emperor.web.plugins.module_utils._lock import Holder, Lock
from ansible_collections.emperor.web.plugins.modules import each


@pytest.fixture
def module(monkeypatch, capfd, tmp_path):
    """Run the module as Ansible does; what it printed and wrote to the journal, and what it printed as JSON."""
    journal = tmp_path / "journal"
    journal.touch()

    def log(_self, message, **_more) -> None:
        with journal.open("a") as handle:
            handle.write(f"{message}\n")

    monkeypatch.setattr(basic.AnsibleModule, "log", log)

    def run(**arguments) -> tuple[str, dict]:
        given = {"_ansible_no_log": False, "_ansible_remote_tmp": "/tmp"} | arguments
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            each.main()
        printed = capfd.readouterr().out
        return printed + journal.read_text(), json.loads(printed)

    return run


def test_environments_and_keys_are_neither_printed_nor_logged(module, tmp_path):
    apps = {"shop": {"name": "shop", "root": str(tmp_path), "environment": {"API_TOKEN": "s3cret-token"}}}
    apps["blog"] = {"name": "blog", "root": str(tmp_path), "deploy_key": "s3cret-key"}
    options = {"state": "unlocked", "proxy": "http://ann:s3cret-proxy@proxy.example.com"}
    text, said = module(module="django_release", options=options, apps=apps)
    assert "s3cret" not in text
    assert "Invoked with" in text and "name=shop" in text, "each app is in the journal"
    assert {app: answer["changed"] for app, answer in said["by_app"].items()} == {"shop": False, "blog": False}


def test_one_app_that_fails_keeps_no_other_from_giving_its_lock_back(module, tmp_path):
    mine = Holder("f00d", "ann", "laptop", "another system", 4711, "12345")
    locks = {app: Lock(app, str(tmp_path / app)) for app in ("blog", "shop", "wiki")}
    for lock in locks.values():
        lock.acquire(replace(mine, token="beef") if lock.app == "blog" else mine)
    apps = {app: {"name": app, "root": lock.root} for app, lock in locks.items()}
    options = {"state": "pruned", "lock": "last", "holder": asdict(mine)}
    said = module(module="django_release", options=options, apps=apps)[1]["by_app"]
    assert [app for app, answer in said.items() if answer.get("failed")] == ["blog"], said
    assert {app: holder.token for app, lock in locks.items() if (holder := lock.holder())} == {"blog": "beef"}


def test_what_no_app_can_be_run_with_is_refused(module):
    assert module(module="django_check", apps={"shop": "x"})[1]["msg"] == "apps: the options of shop are no dictionary"
    for parallel in (0, -1):
        said = module(module="django_check", apps={}, parallel=parallel)[1]
        assert said["failed"] and said["msg"].startswith(f"parallel is {parallel}; give 1 or more")
    assert "value of module must be one of" in module(module="command", apps={})[1]["msg"]


def test_no_app_is_no_work(module):
    said = module(module="django_check", apps={})[1]
    assert (said["changed"], said["by_app"]) == (False, {})


def test_each_module_that_is_offered_can_be_run():
    documented = yaml.safe_load(each.DOCUMENTATION)["options"]["module"]["choices"]
    assert documented == each.MODULES
    assert {each.main_of(name).__module__.rpartition("._module_")[2] for name in each.MODULES} == set(each.MODULES)
