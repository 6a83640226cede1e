# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an app's host needs: accounts by the words for useradd, files for real, units by what systemd says of them."""

from __future__ import annotations

import os
import stat
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _emperor, _limits
from ansible_collections.emperor.web.plugins.module_utils._emperor import (
    Emperor,
    EmperorError,
    hold_to_limits,
    run_units,
)
from ansible_collections.emperor.web.plugins.module_utils._process import Result

UNIT = "uwsgi-emperor@shop.service"
GOOD = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}


@pytest.fixture
def host(monkeypatch):
    """A host with accounts and units in memory; the commands that were run are in C(ran)."""
    state = SimpleNamespace(users={}, groups={}, units={}, ran=[])

    def run(argv, **_options):
        state.ran.append(" ".join(argv))
        if argv[:2] == ["systemctl", "daemon-reload"]:
            for unit in state.units.values():
                unit |= {"NeedDaemonReload": "no"} | ({"LoadState": "loaded"} if unit.get("file") else {})
        if argv[:2] == ["systemctl", "show"]:
            shown = ["\n".join(f"{key}={value}" for key, value in state.units[name].items()) for name in argv[3:]]
            return Result(argv, 0, "\n\n".join(shown) + "\n", "")
        return Result(argv, int("fails" in argv[-1]), "", "it failed")

    monkeypatch.setattr(_emperor, "run", run)
    monkeypatch.setattr(_emperor, "_entry", state.users.get)
    monkeypatch.setattr(_emperor, "_group", state.groups.get)
    return state


@pytest.fixture
def emperor(tmp_path):
    places = {name: str(tmp_path / name) for name in ("vassals", "units", "commands")}
    for path in places.values():
        os.mkdir(path)
    return Emperor("shop", "/srv/django/shop", [str(tmp_path / "shared"), str(tmp_path)], **places)


def user(home="/srv/django/shop/shared", shell="/usr/sbin/nologin", uid=990, gid=990):
    return SimpleNamespace(pw_dir=home, pw_shell=shell, pw_uid=uid, pw_gid=gid)


def test_files_are_made_once_and_mended(host, emperor):
    host.groups["shop"] = os.getegid()
    host.users["shop"] = user(uid=os.geteuid(), gid=os.getegid())
    made = emperor.make_files(dry_run=True)
    assert made == [
        f"{emperor.vassals}/shop",
        emperor.writable[0],
        f"{emperor.units}/{UNIT}.d/emperor.conf",
        f"{emperor.commands}/shop-manage",
    ]
    assert not any(map(os.path.exists, made))
    assert emperor.make_files(dry_run=False) == made
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in made] == [0o750, 0o750, 0o644, 0o755]
    assert emperor.make_files(dry_run=False) == []
    os.chmod(made[3], 0o700)
    os.chmod(made[1], 0o711)  # the folder of the user's own is only made
    os.unlink(made[2])
    assert emperor.make_files(dry_run=False) == made[2:]
    assert emperor.make_files(dry_run=True) == []


def test_the_unit_says_where_the_app_is_and_what_it_may_write_to(emperor):
    lines = emperor.additions().splitlines()
    assert lines[1] == "[Service]"
    assert [line for line in lines if line.startswith("ReadWritePaths")] == [
        f"ReadWritePaths=-{path}" for path in emperor.writable
    ]
    assert any(line.startswith("ExecStartPre=-+") and line.endswith('/%i "/srv/django/shop"') for line in lines)


def test_without_a_root_there_is_no_command_and_every_vassal_starts(emperor):
    emperor.root = None
    assert [path for path, _content, _mode in emperor.files()] == [f"{emperor.units}/{UNIT}.d/emperor.conf"]
    assert "ExecStartPre" not in emperor.additions()
    assert emperor.home == "/nonexistent"


def test_an_account_is_made(host, emperor):
    assert emperor.make_account(dry_run=True) == ["group shop created", "user shop created"]
    assert host.ran == []
    emperor.make_account(dry_run=False)
    assert host.ran == [
        "groupadd --system shop",
        "useradd --system --no-create-home --gid shop --home-dir /srv/django/shop/shared --shell /usr/sbin/nologin "
        "--comment Django app shop shop",
    ]


@pytest.mark.parametrize(
    ("found", "done"),
    [
        (user(), []),
        (user(home="/srv/elsewhere/shop/shared"), ["user shop changed"]),
        (user(gid=100), ["user shop changed"]),
    ],
)
def test_an_account_that_is_there(host, emperor, found, done):
    host.groups["shop"], host.users["shop"] = 990, found
    assert emperor.make_account(dry_run=False) == done
    assert len(host.ran) == len(done)


def test_an_account_that_cannot_be_made(host, emperor):
    emperor.name = "fails"
    with pytest.raises(EmperorError, match="groupadd --system fails failed: it failed"):
        emperor.make_account(dry_run=False)


def test_units_that_run_are_left_alone(host):
    host.units[UNIT] = dict(GOOD)
    assert run_units([UNIT], False, reload=False) == []
    assert len(host.ran) == 1


def test_a_change_is_read_but_nothing_is_restarted(host):
    host.units[UNIT] = GOOD | {"NeedDaemonReload": "yes"}
    assert run_units([UNIT], False, reload=False) == []
    assert "systemctl daemon-reload" in host.ran
    assert not [command for command in host.ran if "start" in command]


def test_units_that_stand_still_are_started_all_at_once(host):
    names = [UNIT, "uwsgi-emperor@blog.service"]
    for name in names:
        host.units[name] = GOOD | {
            "LoadState": "not-found",
            "ActiveState": "inactive",
            "UnitFileState": "",
            "file": "x",
        }
    expected = [f"{name} {word}" for word in ("enabled", "started") for name in names]
    assert run_units(names, True, reload=True) == expected
    assert len(host.ran) == 1, "check mode only looks"
    assert run_units(names, False, reload=True) == expected
    assert host.ran[-2:] == [f"systemctl enable {' '.join(names)}", f"systemctl start {' '.join(names)}"]


def test_without_the_role_it_says_so(host):
    host.units[UNIT] = GOOD | {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""}
    with pytest.raises(EmperorError, match="use the role emperor.web.uwsgi on this host first"):
        run_units([UNIT], False, reload=False)


def test_a_unit_that_does_not_start(host):
    host.units["fails"] = GOOD | {"ActiveState": "failed"}
    with pytest.raises(EmperorError, match="it failed"):
        run_units(["fails"], False, reload=False)


# Limits.

RUNS = GOOD | {"ControlGroup": "/system.slice/x", "MainPID": "4711", "MemoryMax": "1000000000", "MemorySwapMax": "x"}
WANTED = {"memory": "infinity", "cpu": 50, "tasks": 64, "open_files": 1024}
IN_FORCE = {"memory": None, "memory_swap": None, "cpu": 50, "tasks": 64, "open_files": 1024}


@pytest.fixture
def kernel(host, monkeypatch):
    """What the kernel says, in the order in which it is asked, the last for good; and the controllers it lacks."""
    state = SimpleNamespace(said=[], missing=[], removed=[])

    def in_force(group, pid):
        assert (group, pid) == ("/system.slice/x", 4711)
        return IN_FORCE | (state.said.pop(0) if len(state.said) > 1 else state.said[0])

    monkeypatch.setattr(_emperor, "in_force", in_force)
    monkeypatch.setattr(_emperor, "missing_controllers", lambda: state.missing)
    monkeypatch.setattr(_emperor, "set_open_files", lambda *arguments: host.ran.append(f"open files {arguments}"))
    monkeypatch.setattr(_emperor.shutil, "rmtree", lambda path, **_options: state.removed.append(path))
    monkeypatch.setattr(_emperor, "_LIMITS_SECONDS", 0.3)
    monkeypatch.setattr(_limits, "most_files", lambda _pid: 1024)
    host.units[UNIT] = dict(RUNS)
    return state


def held(dry_run=False, before=None, **limits):
    return hold_to_limits([Emperor("shop", limits=WANTED | limits)], dry_run, before or {})


def test_limits_that_are_in_force_are_left_alone(host, kernel):
    kernel.said = [{}]
    assert held() == ([], {"shop": IN_FORCE}, [])
    assert len(host.ran) == 1


def test_what_a_daemon_reload_alone_has_put_right_is_told(host, kernel):
    kernel.said = [{}]
    before = {"shop": IN_FORCE | {"tasks": 512}}
    assert held(before=before) == ([f"{UNIT} held to its limits (tasks)"], {"shop": IN_FORCE}, [])
    assert not [command for command in host.ran if "set-property" in command]


def test_a_limit_is_put_in_force_and_read_back(host, kernel):
    kernel.said = [{"tasks": 512}, {"tasks": 512}, {}]
    assert held(dry_run=True) == (
        [f"{UNIT} held to its limits (tasks)"],
        {"shop": IN_FORCE | {"tasks": 512}},
        [],
    )
    assert len(host.ran) == 1, "check mode only looks"
    kernel.said = [{"tasks": 512}, {"tasks": 512}, {}]
    assert held() == ([f"{UNIT} held to its limits (tasks)"], {"shop": IN_FORCE}, [])
    words = "MemoryMax=infinity MemorySwapMax=infinity CPUQuota=50% TasksMax=64"
    assert f"systemctl set-property --runtime {UNIT} {words}" in host.ran
    assert kernel.removed == [f"/run/systemd/system.control/{UNIT}.d"]
    assert host.ran[-2:] == ["systemctl daemon-reload", "open files ('/system.slice/x', 4711, 1024)"]
    assert not [command for command in host.ran if "restart" in command]


def test_a_limit_that_the_host_has_no_controller_for_is_named(host, kernel):
    kernel.said, kernel.missing = [{"tasks": None, "cpu": None}], ["cpu", "pids"]
    done, found, warnings = held()
    assert done == [] and found["shop"]["tasks"] is None
    assert warnings == [
        "limits.cpu of shop is not in force: systemd has no cgroup controller cpu on this host",
        "limits.tasks of shop is not in force: systemd has no cgroup controller pids on this host; "
        "the processes of the app's user are counted in its place",
    ]
    assert len(host.ran) == 1


def test_a_limit_that_stays_another_one_is_named(kernel):
    kernel.said = [{"cpu": 10}]
    assert held()[2] == [
        "limits.cpu of shop is not in force: the kernel has another value; "
        "see systemctl cat and systemctl show of the unit"
    ]


def test_more_open_files_than_the_host_allows_are_named(kernel):
    kernel.said = [{}]
    assert held(open_files=5000)[2] == [
        "limits.open_files of shop is not in force: it is more than this host allows, or cannot be changed before the "
        "Emperor starts again"
    ]


def test_an_emperor_that_does_not_run_has_no_limits_to_read(host, kernel):
    host.units[UNIT] |= {"ActiveState": "failed"}
    assert held() == ([], {}, [])
    assert hold_to_limits([], False, {}) == ([], {}, [])


def test_the_unit_has_the_limits_and_hides_the_others(emperor, monkeypatch):
    monkeypatch.setattr(_emperor, "missing_controllers", lambda: ["pids"])
    emperor.hidden, emperor.limits = ["/srv/django"], {"memory": "1G"}
    emperor.writable = ["/srv/django/shop/shared", "/srv/django/common", "/data"]
    lines = emperor.additions().splitlines()
    assert {"MemoryMax=1G", "TasksMax=512", "LimitNPROC=512", "TemporaryFileSystem=/srv/django:ro"} <= set(lines)
    assert [line for line in lines if line.startswith("BindPaths")] == [
        "BindPaths=-/srv/django/shop",
        "BindPaths=-/srv/django/shop/shared",
        "BindPaths=-/srv/django/common",
    ]
