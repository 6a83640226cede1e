# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _module_django_release as django_release
from ansible_collections.emperor.web.plugins.module_utils._build import Builder, WantsArchive
from ansible_collections.emperor.web.plugins.module_utils._git import CannotTell
from ansible_collections.emperor.web.plugins.module_utils._lock import Holder, Lock
from ansible_collections.emperor.web.plugins.module_utils._module_django_release import difference
from ansible_collections.emperor.web.plugins.module_utils._process import UserError
from ansible_collections.emperor.web.plugins.module_utils._release import Layout
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError
from ansible_collections.emperor.web.plugins.module_utils._uwsgi import UwsgiError

GIT = {"name": "shop", "source": "https://github.com/acme/shop.git"}
BUILT = {
    "changed": True,
    "release": "3f2a9c1b-7d04e6aa",
    "revision": "3f2a9c1b" + "0" * 32,
    "live": "9e107d9d-372bb682",
    "path": "/srv/django/shop/releases/3f2a9c1b-7d04e6aa",
}


@pytest.fixture
def builder(monkeypatch, tmp_path):
    """What the builder does, by the name of the method: a result to return, or an error to raise."""
    does = {"present": BUILT, "check": None, "revision": "f" * 40}
    seen = []

    def act(name):
        def method(self):
            seen.append((name, self))
            if isinstance(does[name], Exception):
                raise does[name]
            return does[name]

        return method

    for name in does:
        monkeypatch.setattr(Builder, name, act(name))
    does["seen"] = seen
    monkeypatch.setattr(Builder, "layout", Layout(str(tmp_path)))
    return does


@pytest.mark.parametrize("check", [False, True])
def test_a_release_is_built(run_module, builder, check):
    result = run_module(django_release, GIT, check=check)
    assert {name: result[name] for name in BUILT} == BUILT
    assert result["diff"] == {"before": "live: 9e107d9d-372bb682\n", "after": "built: 3f2a9c1b-7d04e6aa\n"}
    name, made = builder["seen"][-1]
    assert (name, made.check_mode) == ("present", check)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(BUILT | {"changed": False}, {}, id="nothing"),
        pytest.param(
            BUILT | {"live": ""}, {"before": "live: none\n", "after": "built: 3f2a9c1b-7d04e6aa\n"}, id="the first"
        ),
        pytest.param(
            {"changed": True, "removed": ["/a", "/b"], "live": "x"}, {"before": "/a\n/b\n", "after": ""}, id="pruned"
        ),
        pytest.param({"changed": False, "removed": [], "live": "x"}, {"before": "", "after": ""}, id="nothing pruned"),
        pytest.param({"changed": False, "revision": "f", "live": "x"}, {}, id="resolved"),
    ],
)
def test_diff(result, expected):
    assert difference(result) == expected


def test_a_source_is_resolved_without_a_change(run_module, builder):
    result = run_module(django_release, GIT | {"state": "resolved", "root": "/nowhere"})
    assert (result["changed"], result["revision"], result["live"]) == (False, "f" * 40, "")
    assert [name for name, _builder in builder["seen"]] == ["check", "revision"]


def test_what_cannot_be_resolved_yet_is_no_failure(run_module, builder):
    builder["revision"] = CannotTell("Git is not installed yet, so x cannot be asked")
    result = run_module(django_release, GIT | {"state": "resolved"})
    assert result["changed"] is False
    assert result["msg"] == "Git is not installed yet, so x cannot be asked"
    assert "revision" not in result


def test_old_releases_are_removed(run_module, builder):
    old = Builder.layout.release("x")
    os.makedirs(old)
    for check in (True, False):
        assert os.path.exists(old)
        result = run_module(django_release, {"name": "shop", "state": "pruned", "keep": 5}, check=check)
        assert result["removed"] == [old]
        assert result["diff"]["before"] == f"{old}\n"
    assert not os.path.exists(old)


@pytest.mark.parametrize("state", ["present", "resolved"])
def test_a_source_is_needed(run_module, builder, state):
    assert (
        f"state is {state} but all of the following are missing: source"
        in run_module(django_release, {"name": "shop", "state": state})["msg"]
    )


@pytest.mark.parametrize(
    "error",
    [
        SourceError("version v9 does not exist in x"),
        UwsgiError("uwsgi: socket is set by the release itself"),
        UserError("user shop does not exist on this host"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_names_the_app(run_module, builder, error):
    builder["present"] = error
    result = run_module(django_release, GIT)
    assert result["msg"] == f"app shop: {error}"


def test_sources_on_the_controller_are_asked_for(run_module, builder):
    builder["present"] = WantsArchive()
    result = run_module(django_release, {"name": "shop", "source": "/me/shop", "revision": "f" * 64})
    assert result["wants_archive"] is True
    assert result["changed"] is False


def test_sources_on_the_controller_need_the_action_plugin(run_module, builder):
    result = run_module(django_release, {"name": "shop", "source": "/me/shop"})
    assert "a source on the controller needs the action plugin; run the module as a task of a playbook" in result["msg"]


def test_check_mode_goes_on_where_the_source_cannot_be_asked_yet(run_module, builder, tmp_path):
    builder["present"] = CannotTell("Git is not installed yet")
    result = run_module(django_release, GIT | {"root": str(tmp_path)}, check=True)
    assert result["changed"] is True
    assert (result["release"], result["live"]) == ("unknown", "")
    assert result["msg"] == "the host cannot ask the source yet, so check mode does not know the release"
    # What the tasks after it use is there.
    assert {"path", "project", "virtualenv", "environment_file", "settings", "wsgi"} <= set(result)


def test_the_real_run_says_what_to_install(run_module, builder):
    builder["present"] = CannotTell("Git is not installed yet, so git@x:y.git cannot be asked")
    result = run_module(django_release, GIT)
    assert result["msg"].startswith("app shop: Git is not installed")


def test_no_secret_is_printed(run_module, builder):
    arguments = GIT | {
        "login": "user:t0ken-1",
        "deploy_key": "-----BEGIN KEY-----\nt0ken-2\n",
        "index_url": "https://user:t0ken-3@pypi.example.com/simple",
        "proxy": "http://user:t0ken-4@proxy:3128",
        "environment": {"SECRET_KEY": "t0ken-5", "DEBUG": "0"},
    }
    assert "t0ken" not in json.dumps(run_module(django_release, arguments))


@pytest.mark.parametrize("error", ["t0ken-1", "t0ken-3", "t0ken-4", "us%24er:t0ken-1@git.example.com"])
def test_passwords_of_urls_are_masked_in_messages(run_module, builder, error):
    """A program may show a URL in another form than it was given, or a part of it."""
    builder["present"] = SourceError(f"fatal: https://x:{error}/ said no")
    arguments = GIT | {
        "login": "us%24er:t0ken-1",
        "index_url": "https://user:t0ken-3@pypi.example.com/simple",
        "proxy": "http://user:t0ken-4@proxy:3128",
    }
    assert "t0ken" not in json.dumps(run_module(django_release, arguments))


def test_the_environment_reaches_the_builder(run_module, builder):
    run_module(django_release, GIT | {"environment": {"DEBUG": False, "PORT": 80, "SKIPPED": None}})
    _name, made = builder["seen"][-1]
    assert made.environment == {"DEBUG": "false", "PORT": "80"}


def test_a_bad_variable_is_refused(run_module, builder):
    result = run_module(django_release, GIT | {"environment": {"A-B": "1"}})
    assert "'A-B' is no valid variable name" in result["msg"]
    assert builder["seen"] == []


# The deploy lock.


HOLDER = {"token": "f00d", "by": "ann", "host": "laptop", "system": "another", "pid": 4711, "started": "1"}


def test_a_run_takes_the_lock_keeps_it_and_gives_it_back(run_module, builder, tmp_path):
    lock = Lock("shop", str(tmp_path))
    run = {"name": "shop", "root": str(tmp_path), "holder": HOLDER}

    def call(**options) -> dict:
        result = run_module(django_release, run | options)
        assert result.pop("failed", False) is ("msg" in result)
        return result

    assert call(state="unlocked")["changed"] is False
    builder["present"] = BUILT | {"changed": False}
    assert call(**GIT, version="v1.4.2", lock="run")["changed"] is False
    assert str(lock.holder()).startswith("ann from laptop (pid 4711) since ")
    call(state="pruned", lock="run")
    busy = run_module(django_release, run | GIT | {"holder": HOLDER | {"token": "beef"}})
    assert "app shop is being deployed by ann from laptop" in busy["msg"] and busy["msg"].count("v1.4.2") == 1
    assert call(state="unlocked")["changed"] is False
    assert lock.holder() is None
    assert "not this run's any more" in call(state="pruned", lock="run")["msg"]
    assert call(state="locked")["changed"] is False
    assert lock.holder().token == "f00d"


def test_a_task_keeps_no_lock(run_module, builder, tmp_path):
    for state in ("present", "pruned"):
        run_module(django_release, GIT | {"root": str(tmp_path), "state": state})
        assert Lock("shop", str(tmp_path)).holder() is None


def test_the_last_task_of_a_run_gives_the_lock_back_if_it_succeeds(run_module, builder, tmp_path, monkeypatch):
    lock = Lock("shop", str(tmp_path))
    lock.acquire(Holder(**HOLDER))
    last = {"name": "shop", "root": str(tmp_path), "holder": HOLDER, "state": "pruned", "lock": "last"}
    with monkeypatch.context() as patch:
        patch.setattr(django_release, "prune", lambda *_arguments, **_more: os.stat("/nowhere"))
        assert "/nowhere" in run_module(django_release, last)["msg"]
    assert lock.holder().token == "f00d"
    assert run_module(django_release, last)["changed"] is False
    assert lock.holder() is None


def test_check_mode_neither_needs_nor_takes_the_lock(run_module, builder, tmp_path):
    Lock("shop", str(tmp_path)).acquire(Holder(**HOLDER))
    assert run_module(django_release, GIT | {"root": str(tmp_path)}, check=True)["changed"] is True
    assert run_module(django_release, {"name": "shop", "root": str(tmp_path), "state": "locked"}, check=True)
    run_module(
        django_release, {"name": "shop", "root": str(tmp_path), "state": "unlocked", "holder": HOLDER}, check=True
    )
    assert Lock("shop", str(tmp_path)).holder().token == "f00d"
