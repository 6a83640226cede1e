# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Input that django_processes refuses before it touches the host."""

from __future__ import annotations

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _module_django_processes as django_processes

PROCESSES = {"worker": "celery -A shop worker"}
TIMER = {"command": "python manage.py clearsessions", "schedule": "daily"}


@pytest.fixture
def root(tmp_path):
    """The folder of an app with two releases, the second of which is live."""
    for release in ("r1", "r2"):
        (tmp_path / "shop/releases" / release).mkdir(parents=True)
    (tmp_path / "shop/current").symlink_to("releases/r2")
    return str(tmp_path / "shop")


@pytest.fixture(autouse=True)
def no_systemd(monkeypatch):
    def must_not_run(*_arguments, **_options):
        pytest.fail("it went on")

    monkeypatch.setattr(django_processes, "check_schedules", lambda schedules: None)
    monkeypatch.setattr(django_processes, "states_of", must_not_run)


@pytest.mark.parametrize(
    ("app", "message"),
    [
        ({"name": "Shop"}, "'Shop' is no name of an app"),
        ({"name": "shop", "processes": {"worker": "a && b"}}, "command of process worker of app shop has &&"),
        ({"name": "shop", "timers": {"x": {"command": "x"}}}, "the schedule of timer x of app shop is ''"),
    ],
)
def test_what_cannot_be_is_refused(run_module, app, message):
    assert message in run_module(django_processes, {"apps": [app]})["msg"]


def test_a_release_that_is_not_live_is_not_run(run_module, root):
    app = {"name": "shop", "root": root, "processes": PROCESSES}
    said = run_module(django_processes, {"apps": [app], "releases": {"shop": "r1"}})
    assert "app shop: release r1 is not live, r2 is; processes and timers run what is live" in said["msg"]


def test_an_app_of_which_nothing_is_live_is_told_of(run_module, tmp_path):
    (tmp_path / "blog").mkdir()
    app = {"name": "blog", "root": str(tmp_path / "blog"), "timers": {"clearsessions": TIMER}}
    assert "app blog: no release is live" in run_module(django_processes, {"apps": [app]})["msg"]


def test_an_environment_that_cannot_be_read_is_told_of(run_module, root):
    said = run_module(django_processes, {"apps": [{"name": "shop", "root": root, "processes": PROCESSES}]})
    assert "app shop: environment_file" in said["msg"]
