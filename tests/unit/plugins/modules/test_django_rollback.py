# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order its parts are run, and what it tells of them; on a whole host molecule/operate goes back for real."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils import (
    _django_rollback_parts,
    _module_django_migrate,
    _module_django_processes,
    _module_uwsgi_vassal,
)
from ansible_collections.emperor.web.plugins.module_utils._django import DJANGO_ARGUMENTS
from ansible_collections.emperor.web.plugins.module_utils._lock import VARIABLE, Holder, Lock, run_of
from ansible_collections.emperor.web.plugins.module_utils._release import Layout
from ansible_collections.emperor.web.plugins.modules import django_rollback

from ...releases import finish

OLD, LIVE = "aaaa-1", "bbbb-2"
CHECK = {"wsgi": {"type": "str"}, "foresee": {"type": "list", "elements": "str"}}
ARGUMENTS = {
    "django_check": DJANGO_ARGUMENTS | CHECK,
    "django_migrate": DJANGO_ARGUMENTS | _module_django_migrate.ARGUMENTS,
    "django_processes": _module_django_processes.ARGUMENTS,
    "uwsgi_vassal": _module_uwsgi_vassal.ARGUMENTS,
}
UNITS = {"name": "shop", "processes": {"worker": "celery"}}


def migration(name: str, **more) -> dict:
    return {"app": "shop", "name": name, "backwards": False, **more}


FORESEEN = {"project": {"databases": ["default"]}, "foreseen": {"migrate": False, "unknown_migrations": True}}
UNDONE = [migration("0009_x", backwards=True, seconds=0.1)]
APPLIED = [migration("0007_v", seconds=0.1)]
# What each part answers where nothing stands in the way: 0009 is the live release's only, 0007 the old one's.
WELL = {
    "check": FORESEEN,
    f"compare {OLD}": {"unknown": ["shop.0009_x"], "before": {"shop": "0006_u"}, "plan": []},
    f"compare {LIVE}": {"unknown": [], "before": {"shop": "0009_x"}, "plan": []},
    "undo": {"changed": True, "plan": UNDONE, "unapplied": UNDONE, "applied": [], "diff": {"before": "x", "after": ""}},
    "apply": {"changed": True, "plan": APPLIED, "unapplied": [], "applied": APPLIED},
    "switch": {"changed": True, "served": OLD, "seconds": {"start": 2.0, "switch": 0.35}},
    "again": {"changed": True, "plan": [], "unapplied": [], "applied": []},
    "processes": {"changed": True, "changes": ["django@shop:worker.service restarted"], "diff": [{"before": "y"}]},
}
LACKING = {f"compare {OLD}": WELL[f"compare {OLD}"] | {"plan": [migration("0007_v")]}}


def named(module: str, params: dict) -> str:
    """Which part a module does here."""
    if module != "django_migrate":
        return {"django_check": "check", "uwsgi_vassal": "switch", "django_processes": "processes"}[module]
    if params["check_unknown"]:
        return f"compare {os.path.basename(os.path.dirname(params['environment_file']))}"
    return "undo" if params["targets"] else "again" if params["allow"] == ["all"] else "apply"


@pytest.fixture
def layout(tmp_path) -> Layout:
    """An app with two releases, the second of which is live."""
    layout = Layout(str(tmp_path / "shop"))
    for number, name in enumerate((OLD, LIVE)):
        finish(layout, name, number, app="shop", version=f"v{number}", project=".", wsgi="shop.wsgi")
        before = OLD if number else ""
        layout.record({"time": 1.0, "release": name, "previous": before, "result": "live"})
    os.symlink(f"releases/{LIVE}", layout.current)
    return layout


class Rollback:
    """The module with stand-ins for its parts, which take the same options."""

    def __init__(self, run_module, layout: Layout, monkeypatch, calls) -> None:
        self.run_module, self.layout, self.log = run_module, layout, calls
        self.answers: dict[str, dict] = {}
        parts = {name: self.stand_in(name) for name in ARGUMENTS}
        monkeypatch.setattr(_django_rollback_parts, "PARTS", parts)
        # So that the parts are told of in one order.
        monkeypatch.setattr(_django_rollback_parts, "usual_parallel", lambda: 1)

    def stand_in(self, name: str):
        def main(create) -> None:
            module = create(argument_spec=ARGUMENTS[name], supports_check_mode=True)
            part = named(name, module.params)
            seen = {"part": part, "check": module.check_mode, "run": os.environ.get(VARIABLE), "params": module.params}
            holder = Lock("shop", self.layout.root).holder()
            seen["lock"] = holder.token if holder else ""
            with open(self.log, "a") as handle:
                handle.write(json.dumps(seen) + "\n")
            answer = dict((WELL | self.answers)[part])
            if module.check_mode:
                answer |= {name: [] for name in ("unapplied", "applied") if name in answer}
            warning = answer.pop("warns", "")
            if warning:
                module.warn(warning)
            module.exit_json(**answer)

        return main

    def __call__(self, *, check: bool = False, answers: dict[str, dict] | None = None, **given) -> dict:
        self.answers = answers or {}
        self.log.write_text("")
        return self.run_module(django_rollback, {"name": "shop", "root": self.layout.root} | given, check=check)

    @property
    def calls(self) -> list[dict]:
        """What the parts have seen."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    @property
    def parts(self) -> list[str]:
        return [call["part"] for call in self.calls]


@pytest.fixture
def rollback(run_module, layout, monkeypatch, tmp_path):
    """Ends with the lock given back."""
    yield Rollback(run_module, layout, monkeypatch, tmp_path / "calls")
    assert not os.path.exists(layout.lock)


COMPARED = ["check", f"compare {OLD}", f"compare {LIVE}"]


@pytest.mark.parametrize(
    ("check", "parts"),
    [
        ({"project": {"databases": []}, "foreseen": {"migrate": True, "unknown_migrations": True}}, ["check"]),
        (FORESEEN | {"foreseen": {"migrate": False, "unknown_migrations": False}}, ["check"]),
        ({"predicted": False}, ["check"]),
        (FORESEEN | {"foreseen": {"migrate": True, "unknown_migrations": False}}, COMPARED),
        (FORESEEN, COMPARED),
    ],
)
def test_migrations_are_compared_where_there_is_something_to_compare(rollback, check, parts):
    said = rollback(answers={"check": check})
    assert rollback.parts == [*parts, "switch"]
    assert said["changed"] and said["changes"] == []


def test_the_database_stays_as_it_is(rollback):
    said = rollback(units=UNITS)
    assert rollback.parts == [*COMPARED, "switch", "processes"]
    assert (said["release"], said["version"], said["previous"]) == (OLD, "v0", LIVE)
    assert (said["unknown"], said["migrated"]) == (["shop.0009_x"], [])
    assert said["changes"] == ["django@shop:worker.service restarted"]
    assert said["summary"] == [
        f"shop: release {OLD} v0 is live again after 2.4 s",
        f"before it was {LIVE} v1; the next deploy goes to what the inventory says",
        "WARNING: the database has migrations that this release does not know: shop.0009_x",
    ]


def test_what_each_part_is_asked(rollback, layout):
    given = {"host": "shop.example.com", "health_path": "/healthz", "confirm": "http://127.0.0.1/", "timeout": 7}
    rollback(
        **given, migrations=True, allow=["shop.0009_x"], migrate_timeout=99, units=UNITS, answers=LACKING, lock_wait=5
    )
    asked = {call["part"]: call["params"] for call in rollback.calls}
    assert list(asked) == [*COMPARED, "undo", "apply", "switch", "processes"]
    for part, params in asked.items():
        if part not in ("switch", "processes"):
            release = LIVE if part in ("undo", f"compare {LIVE}") else OLD
            folder = layout.release(release)
            assert (params["project"], params["virtualenv"]) == (f"{folder}/src", f"{folder}/venv"), part
            assert (params["environment_file"], params["user"]) == (f"{folder}/env", "shop"), part
            assert params["timeout"] == (99 if part in ("undo", "apply") else 600), part
    assert (asked["check"]["wsgi"], asked["check"]["foresee"]) == ("shop.wsgi", ["migrate", "unknown_migrations"])
    for part in ("undo", "apply", f"compare {OLD}", f"compare {LIVE}"):
        assert asked[part]["allow"] == ["shop.0009_x"], part
    assert (asked["undo"]["targets"], asked["apply"]["targets"]) == ({"shop": "0006_u"}, {})
    switch = given | {"release": OLD, "settle": 0, "probation": 0, "action": "rollback", "lock": "task", "lock_wait": 5}
    switch["migrations"] = ["shop.0009_x (undone)", "shop.0007_v"]
    assert {name: asked["switch"][name] for name in switch} == switch
    assert [app["name"] for app in asked["processes"]["apps"]] == ["shop"]
    assert asked["processes"]["releases"] == {"shop": OLD}


def test_migrations_are_undone_and_applied(rollback):
    said = rollback(migrations=True, units=UNITS, answers=LACKING | {"switch": WELL["switch"] | {"changed": False}})
    assert said["changed"] and said["unknown"] == [] and len(said["summary"]) == 2
    assert said["migrated"] == ["shop.0009_x (undone)", "shop.0007_v"]
    assert said["diff"] == [{"before": "x", "after": ""}, {"before": "y"}]


def test_the_lock_is_held_by_the_run_and_the_check_is_no_step_of_it(rollback, monkeypatch):
    mine = run_of(os.getppid())
    monkeypatch.setenv(VARIABLE, mine.token)  # as the action plugin has it
    rollback(migrations=True, units=UNITS, holder=asdict(mine), answers=LACKING)
    assert {call["lock"] for call in rollback.calls} == {mine.token}
    assert [call["run"] for call in rollback.calls] == [None] * 3 + [mine.token] * 4
    for call in rollback.calls[-2:]:
        assert call["params"]["holder"]["token"] == mine.token


def test_check_mode_locks_and_changes_nothing(rollback):
    said = rollback(migrations=True, units=UNITS, check=True, answers={**LACKING, "switch": {"changed": True}})
    assert rollback.parts == [*COMPARED, "undo", "apply", "switch", "processes"]
    assert all(call["check"] and not call["lock"] for call in rollback.calls)
    assert said["changed"] and said["migrated"] == ["shop.0009_x (undone)", "shop.0007_v"]
    assert said["summary"][0] == f"shop: release {OLD} v0 would be live again"


def test_outside_check_mode_only_the_comparison_is_in_it(rollback):
    rollback(migrations=True, answers=LACKING)
    assert [call["part"] for call in rollback.calls if call["check"]] == COMPARED[1:]


def fails(message: str, **more) -> dict:
    return {"failed": True, "msg": message, **more}


STAYS = f". Release {LIVE} of app shop is still live"


@pytest.mark.parametrize(
    ("given", "answers", "parts", "message"),
    [
        pytest.param({}, {"check": fails("it does not start")}, ["check"], "it does not start", id="check"),
        pytest.param(
            {},
            {f"compare {OLD}": fails("no database"), f"compare {LIVE}": fails("no database")},
            COMPARED,
            "no database",
            id="compare",
        ),
        pytest.param(
            {},
            LACKING,
            COMPARED,
            f"app shop: release {OLD} needs migrations that the database does not have: shop.0007_v. Deploy it, or "
            "apply them on the way with -e rollback_migrations=true",
            id="lacking",
        ),
        pytest.param({}, {"switch": fails("500")}, [*COMPARED, "switch"], f"500{STAYS}", id="switch"),
        pytest.param(
            {"migrations": True},
            {"undo": fails("refused")},
            [*COMPARED, "undo", "again"],
            f"refused{STAYS}",
            id="undo",
        ),
        pytest.param(
            {"migrations": True},
            LACKING | {"apply": fails("timeout")},
            [*COMPARED, "undo", "apply", "again"],
            f"timeout{STAYS}",
            id="apply",
        ),
        pytest.param(
            {"migrations": True},
            {f"compare {OLD}": {"unknown": [], "plan": [migration("0007_v")]}, "apply": fails("timeout")},
            [*COMPARED, "apply"],
            f"timeout{STAYS}",
            id="apply without undo",
        ),
        pytest.param(
            {"migrations": True},
            {"switch": fails("500")},
            [*COMPARED, "undo", "switch", "again"],
            f"500{STAYS}",
            id="switch after undo",
        ),
        pytest.param(
            {"migrations": True},
            {"switch": fails("500"), "again": fails("full")},
            [*COMPARED, "undo", "switch", "again"],
            f"500{STAYS}, and its migrations could not be applied again: full",
            id="again",
        ),
        pytest.param(
            {"units": UNITS},
            {"processes": fails("did not stay up", units=["worker"])},
            [*COMPARED, "switch", "processes"],
            "did not stay up",
            id="processes",
        ),
    ],
)
def test_a_part_that_fails(rollback, given, answers, parts, message):
    said = rollback(answers=answers, **given)
    assert said["failed"] and said["msg"] == message
    assert rollback.parts == parts
    again = [call["params"] for call in rollback.calls if call["part"] == "again"]
    assert all(os.path.dirname(one["environment_file"]).endswith(LIVE) and not one["targets"] for one in again)


def test_a_failure_tells_what_its_part_tells(rollback, monkeypatch):
    warnings: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text: warnings.append(text))
    told = {"log": ["KeyError"], "served": LIVE, "seconds": {"start": 1.0}, "step": "start"}
    said = rollback(answers={"switch": fails("500", other=1, warns="odd", **told)})
    assert {name: said[name] for name in told} == told and warnings == ["odd"]
    assert (said["release"], said["changed"]) == (OLD, False)
    said = rollback(units=UNITS, answers={"processes": fails("x", units=["worker"])})
    assert (said["units"], said["served"], said["changed"]) == (["worker"], OLD, True)


def test_no_memory_for_a_process_is_a_failure_as_any_other(rollback, monkeypatch):
    run_each = _django_rollback_parts.run_each

    def run(name, *given):
        if name == "emperor.web.uwsgi_vassal":
            raise OSError(12, "Cannot allocate memory")
        return run_each(name, *given)

    monkeypatch.setattr(_django_rollback_parts, "run_each", run)
    said = rollback(migrations=True)
    assert said["msg"] == f"uwsgi_vassal cannot be run: [Errno 12] Cannot allocate memory{STAYS}"
    assert rollback.parts == [*COMPARED, "undo", "again"]


def test_another_run_is_told_of_before_anything_is_done(run_module, layout, rollback):
    other = Holder("f00d", "ann", "laptop", "another system", 4711, "12345", "v1.4.2")
    lock = Lock("shop", layout.root)
    lock.acquire(other)
    said = rollback(migrations=True)
    assert said["failed"] and said["busy"]["token"] == "f00d" and rollback.parts == []
    assert "there is no release v9" in rollback(release="v9")["msg"], "for this nobody waits"
    lock.release("f00d")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"release": "v9"}, "app shop: there is no release v9; choose one of those that were live, with -e release=ID"),
        ({"release": "v1"}, f"app shop: release {LIVE} is live already"),
        ({"health_status": "2xx"}, "app shop: health_status: '2xx' is no HTTP status"),
        ({"timeout": 0}, "app shop: timeout is 0, it has to be 1 or more"),
        ({"name": "Shop"}, "'Shop' is no name of an app; write it as django_apps does"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(rollback, given, message):
    said = rollback(**given)
    assert message in said["msg"] and rollback.parts == []


def test_a_record_that_is_half_written_is_told_of(rollback, layout):
    with open(os.path.join(layout.release(OLD), "release.json"), "w") as handle:
        handle.write("{")
    assert rollback()["failed"] and rollback.parts == []


def test_an_app_that_was_never_deployed(run_module, tmp_path):
    said = run_module(django_rollback, {"name": "shop", "root": str(tmp_path / "none")})
    assert said["msg"] == "app shop: no release is live, so there is no way back; deploy it"
    assert os.listdir(tmp_path) == []
