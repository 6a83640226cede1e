# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an app's host needs: accounts by the words for useradd, files for real, units by what systemd says of them."""

from __future__ import annotations

import os
import stat
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _emperor
from ansible_collections.emperor.web.plugins.module_utils._emperor import Emperor, EmperorError, run_units
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
