# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes with an app and what stays: files for real, units by what systemd says of them."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _emperor, _removal
from ansible_collections.emperor.web.plugins.module_utils._emperor import Emperor, EmperorError
from ansible_collections.emperor.web.plugins.module_utils._process import Result
from ansible_collections.emperor.web.plugins.module_utils._removal import Removal

UNIT = "uwsgi-emperor@shop.service"
DATA = ["releases.jsonl", "secret_key", "shared"]


@pytest.fixture
def host(monkeypatch):
    """Units in memory, all of them stopped but one; C(ran) are the commands, C(stuck) a unit that does not stop."""
    state = SimpleNamespace(active={UNIT}, enabled={UNIT}, ran=[], stuck="", users={}, groups={})

    def run(argv, **_options):
        state.ran.append(" ".join(argv))
        if argv[:2] == ["systemctl", "stop"] and argv[2] != state.stuck:
            state.active.discard(argv[2])
        if argv[:2] == ["systemctl", "disable"]:
            state.enabled -= set(argv[2:])
        if argv[:2] == ["systemctl", "show"]:
            blocks = []
            for unit in argv[3:]:
                known = "active" if unit in state.active else "inactive", "enabled" if unit in state.enabled else ""
                blocks.append(f"Id={unit}\nLoadState=loaded\nActiveState={known[0]}\nUnitFileState={known[1]}")
            return Result(argv, 0, "\n\n".join(blocks) + "\n", "")
        return Result(argv, 0, "", "it will not")

    for module in (_emperor, _removal):
        monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(_emperor, "_entry", state.users.get)
    monkeypatch.setattr(_emperor, "_group", state.groups.get)
    monkeypatch.setattr(_emperor, "_ending_workers", list)
    return state


@pytest.fixture
def app(tmp_path):
    """An app that has been deployed, and that could sleep once."""
    places = {name: str(tmp_path / name) for name in ("vassals", "units", "commands", "sockets")}
    root = tmp_path / "srv" / "shop"
    for path in (*places.values(), root, f"{places['vassals']}/shop", f"{places['units']}/{UNIT}.d"):
        os.makedirs(path)
    for name in ("releases/3f2a/src", "venvs/9e10", "static", "repo.git", "shared/media"):
        os.makedirs(root / name)
    for path in (
        root / "releases/3f2a/release.json",
        root / "secret_key",
        root / "releases.jsonl",
        root / "shared/db.sqlite3",
        f"{places['units']}/{UNIT}.d/emperor.conf",
        f"{places['units']}/emperor-wake@shop.socket",
        f"{places['commands']}/shop-manage",
        f"{places['commands']}/shop2-manage",
        f"{places['sockets']}/shop.pause",
    ):
        with open(path, "w") as handle:
            handle.write("text")
    os.symlink("releases/3f2a", root / "current")
    return Emperor("shop", str(root), state="absent", **places)


def test_what_can_be_made_again_goes_and_data_stays(host, app):
    foreseen = Removal(app).go(dry_run=True)
    assert os.path.exists(f"{app.root}/releases/3f2a/release.json")
    assert not [command for command in host.ran if "show" not in command]
    assert Removal(app).go(dry_run=False) == foreseen
    assert foreseen[:2] == [f"{UNIT} stopped", f"{UNIT} disabled"]
    assert sorted(os.listdir(app.root)) == DATA
    assert os.listdir(app.commands) == ["shop2-manage"]
    assert [os.listdir(folder) for folder in (app.vassals, app.units, app.sockets)] == [[], [], []]
    assert "systemctl daemon-reload" in host.ran
    assert Removal(app).go(dry_run=False) == Removal(app).go(dry_run=True) == []


def test_an_app_that_was_never_there(host, app, tmp_path):
    host.active, host.enabled = set(), set()
    never = Emperor("blog", str(tmp_path / "srv/blog"), state="absent", purge=True, vassals=app.vassals)
    assert Removal(never).go(dry_run=False) == []
    assert not os.path.exists(never.root)


def test_the_diff_has_the_files_of_the_host_and_no_more(host, app):
    assert [path for path, _text in Removal(app).files()] == [
        f"{app.units}/{UNIT}.d/emperor.conf",
        f"{app.units}/emperor-wake@shop.socket",
        f"{app.commands}/shop-manage",
    ]


def test_one_that_does_not_stop_keeps_all_and_the_next_run_goes_on(host, app):
    host.stuck = UNIT
    with pytest.raises(EmperorError, match=f"app shop: {UNIT} does not stop: it will not. Its files and its data are"):
        Removal(app).go(dry_run=False)
    assert os.path.exists(f"{app.root}/current") and os.path.exists(f"{app.vassals}/shop")
    assert not os.path.exists(f"{app.root}/deploy.lock")
    host.stuck = ""
    assert Removal(app).go(dry_run=False)
    assert sorted(os.listdir(app.root)) == DATA


def test_the_socket_goes_first_so_that_nothing_wakes_it_again(host, app):
    host.active |= {"emperor-wake@shop.socket", "emperor-wake@shop.service"}
    Removal(app).go(dry_run=False)
    stops = [command.split()[2] for command in host.ran if command.startswith("systemctl stop")]
    assert stops == ["emperor-wake@shop.socket", UNIT, "emperor-wake@shop.service"]


def test_an_app_that_is_being_deployed_is_left_alone(host, app, monkeypatch):
    holder = _removal.run_of(1)  # a process that lives
    assert _removal.Lock("shop", app.root).acquire(holder)
    with pytest.raises(EmperorError, match="app shop is being deployed by .* Nothing of it was removed"):
        Removal(app).go(dry_run=False)
    assert host.active == {UNIT}


def test_purge_removes_everything_and_the_account(host, app):
    app.purge = True
    host.users["shop"], host.groups["shop"] = SimpleNamespace(pw_uid=987654), 987654
    assert Removal(app).go(dry_run=False)[-3:] == [f"{app.root} removed", "user shop removed", "group shop removed"]
    assert not os.path.exists(app.root)
    assert host.ran[-2:] == ["userdel shop", "groupdel shop"]


def test_purge_waits_for_what_still_runs_as_the_user(host, app):
    app.purge = True
    host.users["shop"] = SimpleNamespace(pw_uid=os.geteuid())
    with pytest.raises(
        EmperorError, match=r"app shop: process \d+ \(.+\) still runs as user shop; end it and run again"
    ):
        Removal(app).go(dry_run=False)
    assert os.path.exists(f"{app.root}/shared/db.sqlite3") and os.path.exists(f"{app.root}/current")
