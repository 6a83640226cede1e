# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import stat
import threading
import time
from dataclasses import replace
from functools import partial

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _config_service, _config_set, _config_swap, _journal
from ansible_collections.emperor.web.plugins.module_utils._config_error import ConfigError
from ansible_collections.emperor.web.plugins.module_utils._config_service import Service
from ansible_collections.emperor.web.plugins.module_utils._config_set import ConfigSet, Daemon, Wanted
from ansible_collections.emperor.web.plugins.module_utils._config_swap import Swap, unfinished, work_folder
from ansible_collections.emperor.web.plugins.module_utils._process import Result


class Host:
    """A daemon's folder, and commands that stand for the daemon."""

    def __init__(self, folder) -> None:
        self.root = folder / "etc" / "daemon"
        self.root.mkdir(parents=True)
        self.folder = folder
        # Refuses a configuration that has the word BROKEN in it, and one without a main file.
        self.validate = (
            self.script("validate", 'if grep -Rsn BROKEN "$1"/; then exit 1; fi; test -f "$1/main.conf"') + " %s"
        )
        self.reload = self.script("reload", f"echo reload >> {folder}/reloads")
        self.write("main.conf", "include conf.d/*.conf;\n")

    def script(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def wanted(self, *files: Wanted, **changes) -> ConfigSet:
        owns = changes.pop("owns", ())
        daemon = Daemon(**{"validate": self.validate, "reload": self.reload} | changes)
        return ConfigSet(str(self.root), list(files), daemon, owns)

    def reloads(self) -> int:
        path = self.folder / "reloads"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def state(self) -> dict:
        """All that is in the folder, with modes and links."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_symlink():
                found[name] = f"-> {os.readlink(path)}"
            elif path.is_file():
                found[name] = (stat.S_IMODE(path.stat().st_mode), path.read_text())
        return found


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def deploy(config: ConfigSet) -> list[str]:
    """What the module does."""
    with config.locked():
        left = config.heal()
        changes = config.changes()
        if changes:
            config.test_staged(changes)
            config.apply(changes)
        else:
            config.test(config.root)
    assert not os.path.exists(work_folder(config.root))
    return [change.path for change in left + changes]


def test_a_valid_set_is_put_in_place_and_loaded(host):
    host.write("conf.d/old.conf", "old\n")
    host.write("conf.d/mine.conf", "mine\n", 0o600)
    config = host.wanted(
        Wanted("conf.d/shop.conf", "server shop;\n"),
        Wanted("secret/key.conf", "key\n", 0o640),
        Wanted("conf.d/old.conf", None),
    )
    assert deploy(config) == ["conf.d/shop.conf", "secret/key.conf", "conf.d/old.conf"]
    assert host.state() == {
        "main.conf": (0o644, "include conf.d/*.conf;\n"),
        "conf.d/shop.conf": (0o644, "server shop;\n"),
        "conf.d/mine.conf": (0o600, "mine\n"),
        "secret/key.conf": (0o640, "key\n"),
    }
    assert host.reloads() == 1
    assert deploy(config) == []
    assert host.reloads() == 1


def test_the_set_is_valid_as_a_whole(host):
    """Each of these alone would be refused: the old main file is broken, and the new one needs the other."""
    host.write("main.conf", "BROKEN\n")
    deploy(host.wanted(Wanted("main.conf", "ok\n"), Wanted("conf.d/new.conf", "new\n")))
    assert host.state()["main.conf"] == (0o644, "ok\n")


def test_an_invalid_set_changes_nothing_and_fails_again(host):
    host.write("conf.d/shop.conf", "server shop;\n", 0o640)
    (host.root / "enabled").symlink_to("conf.d")
    before = host.state()
    config = host.wanted(Wanted("conf.d/shop.conf", "BROKEN\n"), Wanted("conf.d/blog.conf", "server blog;\n"))
    for _run in range(2):
        with pytest.raises(ConfigError, match="the configuration is not valid and was not put in place") as error:
            deploy(config)
        assert host.state() == before
    assert host.reloads() == 0
    # What the daemon said names the files where they will be, not where they were tried.
    assert f"{host.root}/conf.d/shop.conf:1:BROKEN" in str(error.value)
    assert error.value.outcome.rc == 1


def test_nothing_to_change_over_a_broken_configuration_fails(host):
    host.write("conf.d/shop.conf", "server shop;\n")
    host.write("conf.d/other.conf", "BROKEN by somebody else\n")
    with pytest.raises(ConfigError, match=r"conf.d/other.conf:1:BROKEN by somebody else"):
        deploy(host.wanted(Wanted("conf.d/shop.conf", "server shop;\n")))


def tricky(host) -> ConfigSet:
    """Changes of a file, a mode, a link, a link that leads nowhere, something absent, and something to remove."""
    host.write("conf.d/changed.conf", "old\n", 0o600)
    host.write("conf.d/mode.conf", "same\n", 0o600)
    host.write("conf.d/removed.conf", "old\n", 0o640)
    host.write("available/site", "site\n")
    (host.root / "conf.d" / "link.conf").symlink_to("../available/site")
    (host.root / "conf.d" / "gone.conf").symlink_to("nowhere")
    return host.wanted(
        Wanted("conf.d/changed.conf", "new\n"),
        Wanted("conf.d/mode.conf", "same\n", 0o644),
        Wanted("conf.d/removed.conf", None),
        Wanted("conf.d/link.conf", "site\n"),
        Wanted("conf.d/gone.conf", None),
        Wanted("conf.d/new.conf", "new\n"),
    )


def test_all_kinds_of_changes_are_made(host):
    assert len(deploy(tricky(host))) == 6
    assert host.state() == {
        "main.conf": (0o644, "include conf.d/*.conf;\n"),
        "available/site": (0o644, "site\n"),
        "conf.d/changed.conf": (0o644, "new\n"),
        "conf.d/mode.conf": (0o644, "same\n"),
        "conf.d/link.conf": (0o644, "site\n"),
        "conf.d/new.conf": (0o644, "new\n"),
    }


def test_a_failed_reload_puts_everything_back_and_loads_it(host):
    config = tricky(host)
    before = host.state()
    config.daemon = replace(
        config.daemon,
        reload=host.script("reload", f"echo reload >> {host.folder}/reloads; echo port in use >&2; exit 1"),
    )
    for run in (1, 2):
        with pytest.raises(ConfigError, match="the reload failed, the files before are back: port in use"):
            deploy(config)
        assert host.state() == before
        assert host.reloads() == 2 * run
    assert [name for name in os.listdir(host.root / "conf.d") if "tmp" in name] == []


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one by one"])
@pytest.mark.parametrize("name", ["changed.conf", "new.conf", "journal.json"])
def test_a_full_disk_changes_nothing(host, monkeypatch, at_once, name):
    config = tricky(host)
    before = host.state()
    real = os.fsync

    def full(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if name in path and "emperor-config-" not in path:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(_config_swap, "mounted", lambda _folder: not at_once)
    for _run in range(2):
        with pytest.raises(OSError, match="No space left"):
            deploy(config)
        assert host.state() == before
        assert not os.path.exists(work_folder(config.root))
    monkeypatch.undo()
    assert len(deploy(config)) == 6


def test_a_configuration_that_is_valid_only_in_the_copy_is_put_back(host):
    """The last word has the test of the files where they are."""
    host.write("conf.d/shop.conf", "old\n")
    before = host.state()
    config = host.wanted(
        Wanted("conf.d/shop.conf", "new\n"),
        validate=host.script("validate", f'[ "$1" != {host.root} ] || {{ echo certificate missing; exit 1; }}') + " %s",
    )
    with pytest.raises(ConfigError, match="certificate missing"):
        deploy(config)
    assert host.state() == before


def test_absolute_includes_are_tested_as_they_will_be(host):
    host.write("main.conf", f"include {host.root}/conf.d/*.conf;\n")
    host.write("conf.d/shop.conf", "BROKEN\n")
    host.write("available/blog", "blog\n")
    (host.root / "conf.d" / "blog.conf").symlink_to(host.root / "available" / "blog")
    # Reads what the main file includes, and refuses it when it is not the copy's own.
    validate = host.script(
        "validate",
        'for file in $(sed -n "s/^include \\(.*\\);/\\1/p" "$1/main.conf"); do\n'
        '  case "$(readlink -f "$file")" in "$1"/*) ;; *) echo "outside: $file"; exit 1;; esac\n'
        '  ! grep -Hn BROKEN "$file" || exit 1\n'
        "done",
    )
    deploy(host.wanted(Wanted("conf.d/shop.conf", "mended\n"), validate=f"{validate} %s"))
    assert host.state()["main.conf"] == (0o644, f"include {host.root}/conf.d/*.conf;\n")
    assert host.state()["conf.d/blog.conf"] == f"-> {host.root}/available/blog"


@pytest.mark.parametrize("target", ["{root}/available", "{outside}"], ids=["inside", "outside"])
def test_a_trial_does_not_write_through_a_link_to_a_folder(host, target):
    """sites-enabled may be a link to sites-available: what is only tried must not arrive there."""
    host.write("available/shop.conf", "server shop;\n")
    outside = host.folder / "outside"
    outside.mkdir()
    (outside / "shop.conf").write_text("server shop;\n")
    (host.root / "enabled").symlink_to(target.format(root=host.root, outside=outside))
    with pytest.raises(ConfigError, match="BROKEN|leads out of"):
        deploy(host.wanted(Wanted("enabled/shop.conf", "BROKEN\n")))
    assert (host.root / "enabled" / "shop.conf").read_text() == "server shop;\n"


def test_a_trial_leaves_no_copy_behind(host):
    config = host.wanted(Wanted("x.conf", "x\n"))
    with config.staged(config.changes()) as stage:
        assert stat.S_IMODE(os.stat(os.path.dirname(stage)).st_mode) == 0o700  # keys may be in it
        assert os.path.exists(os.path.join(stage, "x.conf"))
    assert not os.path.exists(os.path.dirname(stage))


def test_the_copy_that_a_killed_run_left_is_removed_by_the_next(host):
    config = host.wanted(Wanted("x.conf", "x\n"))
    with config.staged(config.changes()) as stage:
        left = f"{os.path.dirname(stage)}-of-a-killed-run"
        os.makedirs(f"{left}/daemon")
    deploy(config)
    assert not os.path.exists(left)


def test_a_folder_that_is_not_there_yet_is_made(host):
    shutil.rmtree(host.root)
    deploy(host.wanted(Wanted("main.conf", "x\n")))
    assert host.state() == {"main.conf": (0o644, "x\n")}


@pytest.mark.parametrize("path", ["/etc/passwd", "../other.conf", "conf.d/../../other.conf", ".."])
def test_a_path_that_escapes_is_refused(host, path):
    with pytest.raises(ConfigError, match=f"path {path} has to be relative to {host.root}, and inside of it"):
        host.wanted(Wanted(path, "x"))


def test_a_file_that_is_given_twice_is_refused(host):
    with pytest.raises(ConfigError, match=r"conf.d/a is given twice; each file can have one content only"):
        host.wanted(Wanted("conf.d/a", "x"), Wanted("b", "x"), Wanted("conf.d/./a", None))


def test_a_folder_in_the_place_of_a_file_is_refused(host):
    (host.root / "conf.d").mkdir()
    with pytest.raises(ConfigError, match="conf.d is neither a file nor a link; move it away, or use another path"):
        host.wanted(Wanted("conf.d", "x")).changes()


@pytest.mark.parametrize(
    ("wanted", "changed"),
    [
        (Wanted("file", "text\n"), False),
        (Wanted("file", "text"), True),
        (Wanted("file", "text\n", 0o600), True),
        (Wanted("file", None), True),
        (Wanted("link", "text\n"), True),
        (Wanted("missing", None), False),
        (Wanted("missing", ""), True),
        (Wanted("file/below", None), False),
    ],
)
def test_what_counts_as_a_change(host, wanted, changed):
    host.write("file", "text\n")
    (host.root / "link").symlink_to("file")
    assert bool(host.wanted(wanted).changes()) is changed


def test_whether_the_daemon_is_there(host):
    assert host.wanted().daemon.installed()
    assert not host.wanted(validate="no-such-daemon -t %s").daemon.installed()


# Folders that are owned.


def test_an_owned_folder_has_the_given_files_only(host):
    for name in ("conf.d/mine.conf", "conf.d/sub/deep.conf", "conf.d/.hidden", "other/mine.conf"):
        host.write(name, "by hand\n")
    (host.root / "conf.d" / "link.conf").symlink_to("../other/mine.conf")
    (host.root / "conf.d" / "folder").symlink_to("../other")
    (host.root / "conf.d" / "dangling").symlink_to("nowhere")
    config = host.wanted(Wanted("conf.d/shop.conf", "shop\n"), owns=("conf.d",))
    removed = {
        f"conf.d/{name}" for name in ("mine.conf", "sub/deep.conf", ".hidden", "link.conf", "folder", "dangling")
    }
    assert set(deploy(config)) == {"conf.d/shop.conf"} | removed
    assert set(host.state()) == {"main.conf", "conf.d/shop.conf", "other/mine.conf"}
    assert deploy(config) == []


def test_an_owned_folder_is_kept_when_the_rest_is_refused(host):
    host.write("conf.d/mine.conf", "by hand\n")
    before = host.state()
    with pytest.raises(ConfigError, match="BROKEN"):
        deploy(host.wanted(Wanted("conf.d/shop.conf", "BROKEN\n"), owns=("conf.d",)))
    assert host.state() == before


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        (".", "path . has to be relative to"),
        ("../etc", "path ../etc has to be relative to"),
        ("main.conf", "main.conf in owns is no folder; give the real place"),
        ("enabled", "enabled in owns is no folder; give the real place"),
        ("outside/folder", "path outside/folder leads out of"),
    ],
)
def test_what_is_no_folder_below_cannot_be_owned(host, tmp_path, folder, said):
    host.write("available/shop.conf", "shop\n")
    (host.root / "enabled").symlink_to("available")
    (host.root / "outside").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=said):
        host.wanted(owns=(folder,))


def test_an_owned_folder_that_is_not_there_is_empty(host):
    assert deploy(host.wanted(owns=("conf.d",))) == []


# What the daemon only warns of.


@pytest.fixture
def warning(host) -> dict:
    """A daemon that warns of a name when two files have it, and takes them."""
    text = 'cat "$1"/conf.d/* | sort | uniq -d | sed "s/.*/[warn] $$ conflicting \\"&\\" ignored/" >&2'
    return {"validate": host.script("warn", text) + " %s", "refuse": ("conflicting",)}


def test_a_new_warning_is_refused_and_says_where(host, warning):
    host.write("conf.d/shop.conf", "shop.example.com\n")
    host.write("conf.d/other.conf", "another-shop.example.com\n# shop.example.com\n")
    before = host.state()
    config = host.wanted(Wanted("conf.d/blog.conf", "shop.example.com\n"), **warning)
    for _run in range(2):
        with pytest.raises(ConfigError, match='conflicting "shop.example.com" ignored') as error:
            deploy(config)
        assert str(error.value).endswith("shop.example.com is in conf.d/blog.conf, conf.d/shop.conf")
        assert host.state() == before
    assert deploy(host.wanted(Wanted("conf.d/blog.conf", "shop.example.com\n"), **warning | {"refuse": ()}))


def test_a_warning_that_was_there_is_only_told(host, warning):
    host.write("conf.d/a.conf", "twice.example.com\n")
    host.write("conf.d/b.conf", "twice.example.com\n")
    config = host.wanted(Wanted("conf.d/blog.conf", "blog\n"), **warning)
    assert config.test_staged(config.changes()) == ['conflicting "twice.example.com" ignored']
    assert deploy(config) == ["conf.d/blog.conf"]


# Runs that are killed, and runs at the same time.


def test_a_run_waits_for_another_one(host, monkeypatch):
    config = host.wanted(Wanted("a.conf", "a\n"))
    descriptor = os.open(host.root.parent, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    monkeypatch.setattr(_config_set, "_LOCK_SECONDS", 0.2)
    with pytest.raises(ConfigError, match="another run has been changing files .* nothing was changed"):
        deploy(config)
    monkeypatch.setattr(_config_set, "_LOCK_SECONDS", 30)
    threading.Timer(0.2, os.close, [descriptor]).start()
    assert deploy(config) == ["a.conf"]


@pytest.fixture
def killed(host) -> ConfigSet:
    """What a run leaves that was killed when all files were in place and not yet loaded."""
    host.write("conf.d/a.conf", "old\n")
    config = host.wanted(Wanted("conf.d/a.conf", "new\n"), Wanted("conf.d/b.conf", "new\n"))
    swap = Swap(config.root, config.changes())
    swap.begin()
    swap.make()
    assert swap.atomic
    return config


def test_what_was_put_in_place_is_loaded_by_the_next_run(host, killed):
    before = host.state()
    assert [change.path for change in killed.heal(dry_run=True)] == ["conf.d/a.conf", "conf.d/b.conf"]
    assert (host.state(), host.reloads(), len(unfinished(killed.root))) == (before, 0, 2)
    assert deploy(killed) == ["conf.d/a.conf", "conf.d/b.conf"]
    assert (host.state(), host.reloads()) == (before, 1)
    assert deploy(killed) == []


def test_what_cannot_be_loaded_is_put_back_by_the_next_run(host, killed):
    refused = host.script("reload", f'echo reload >> {host.folder}/reloads; ! grep -q new "{host.root}/conf.d/a.conf"')
    killed.daemon = replace(killed.daemon, reload=refused)
    for _run in range(2):
        with pytest.raises(ConfigError, match="the reload failed, the files before are back"):
            deploy(killed)
        assert host.state() == {"main.conf": (0o644, "include conf.d/*.conf;\n"), "conf.d/a.conf": (0o644, "old\n")}


def test_what_was_edited_since_is_left_as_it_is(host, killed):
    host.write("conf.d/b.conf", "by hand\n")
    with killed.locked():
        assert killed.heal() == []
    assert host.state()["conf.d/a.conf"] == (0o644, "old\n")
    assert host.state()["conf.d/b.conf"] == (0o644, "by hand\n")


def test_check_mode_sees_what_the_next_run_will_put_back(host, killed):
    (host.root / "conf.d" / "b.conf").unlink()  # as if the run had been killed between two files
    before = host.state()
    assert killed.heal(dry_run=True) == []
    changes = killed.changes()
    assert [(change.path, change.before.content) for change in changes] == [
        ("conf.d/a.conf", "old\n"),
        ("conf.d/b.conf", None),
    ]
    with killed.staged([]) as stage, open(f"{stage}/conf.d/a.conf", encoding="utf-8") as tried:
        assert tried.read() == "old\n"
    assert host.state() == before


def test_files_that_cannot_be_put_back_are_by_the_next_run(host, killed, monkeypatch):
    killed.heal()
    config = host.wanted(Wanted("conf.d/a.conf", "newer\n"), Wanted("conf.d/b.conf", None))
    before = host.state()
    failing = replace(config.daemon, reload="false")
    healthy, config.daemon = config.daemon, failing

    def stuck(_swap):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Swap, "_exchange_back", stuck)
    with (
        pytest.raises(
            ConfigError, match=r"could not be put back: .*Read-only file system. Mend that and run this again"
        ),
        config.locked(),
    ):
        config.apply(config.changes())
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="the reload failed"):
        deploy(config)
    assert host.state() == before
    config.daemon = healthy
    assert len(deploy(config)) == 2


# Workers: a daemon may take the signal to reload, refuse the files, and say so in its log only.


@pytest.fixture
def daemon(host, monkeypatch):
    """Processes of a daemon as the kernel would list them; the reload script can change the list."""
    pid_file = host.folder / "daemon.pid"
    pid_file.write_text("4711\n")
    children = host.folder / "children"
    children.write_text("10 11 ")
    real = _config_set.read_text
    listed = {"/proc/4711/task/4711/children": str(children)}
    monkeypatch.setattr(_config_set, "read_text", lambda path: real(listed.get(path, path)))
    monkeypatch.setattr(_config_set, "_RELOAD_SECONDS", 0.3)
    return partial(host.wanted, pid_file=str(pid_file)), children


def test_new_workers_show_that_the_files_were_taken(host, daemon):
    wanted, children = daemon
    reload = host.script("reload", "exit 0")

    def later():
        time.sleep(0.1)
        children.write_text("11 12 ")

    thread = threading.Thread(target=later)
    thread.start()
    deploy(wanted(Wanted("a.conf", "a\n"), reload=reload))
    thread.join()
    assert host.state()["a.conf"] == (0o644, "a\n")


def test_no_new_workers_show_that_the_files_were_refused(host, daemon):
    wanted, _children = daemon
    before = host.state()
    with pytest.raises(
        ConfigError, match=r"did not start new workers, .* the files before are back. Its error log says"
    ):
        deploy(wanted(Wanted("a.conf", "a\n")))
    assert host.state() == before
    assert host.reloads() == 2


def test_workers_that_end_at_once_do_not_count(host, daemon, monkeypatch):
    wanted, _children = daemon
    config = wanted(Wanted("a.conf", "a\n"))
    pids = itertools.count(20)
    monkeypatch.setattr(Daemon, "workers", lambda _daemon: {"10", str(next(pids))})
    with pytest.raises(ConfigError, match="did not start new workers"):
        deploy(config)
    assert "a.conf" not in host.state()


def test_a_daemon_that_does_not_run_has_no_workers_to_wait_for(host, daemon):
    wanted, children = daemon
    children.unlink()
    deploy(wanted(Wanted("a.conf", "a\n")))
    assert "a.conf" in host.state()


# A service that does not run.


@pytest.fixture
def systemd(host, monkeypatch) -> list[str]:
    """A stopped service that does not start where a file has the word TAKEN; the starts, and what came of each."""
    starts: list[str] = []

    def run(argv: list[str], **_options) -> Result:
        rc, said = 0, ""
        if argv[1] == "show":
            said = "LoadState=loaded\nActiveState=inactive\nUnitFileState=enabled\n"
        elif argv[1] in ("start", "restart"):
            rc = int(any("TAKEN" in text for _mode, text in host.state().values()))
            starts.append(f"{argv[1]} {rc}")
        elif argv[0] == "journalctl":
            said = "address in use\n"
        return Result(argv, rc, said, "")

    for module in (_config_service, _journal):
        monkeypatch.setattr(module, "run", run)
    return starts


def test_a_stopped_service_is_started_in_place_of_a_reload(host, systemd):
    config = host.wanted(Wanted("a.conf", "a\n"), service=Service("daemon"))
    assert deploy(config) == ["a.conf"]
    assert (systemd, host.reloads()) == (["start 0"], 0)
    # From then on it runs.
    assert deploy(ConfigSet(str(host.root), [Wanted("a.conf", "b\n")], config.daemon)) == ["a.conf"]
    assert (systemd, host.reloads()) == (["start 0"], 1)


def test_files_that_it_does_not_start_with_are_taken_back_and_it_runs_with_those_before(host, systemd):
    before = host.state()
    for run in (1, 2):
        config = host.wanted(Wanted("a.conf", "TAKEN\n"), service=Service("daemon"))
        with pytest.raises(
            ConfigError,
            match="daemon did not start with these files; those before are back, and it runs with them. Its last lines:"
            "\naddress in use\nMend",
        ):
            deploy(config)
        assert (host.state(), systemd) == (before, ["start 1", "restart 0"] * run)
    assert host.reloads() == 0


def test_files_are_taken_back_as_well_when_it_starts_with_none(host, systemd):
    host.write("mine.conf", "TAKEN\n")
    before = host.state()
    with pytest.raises(ConfigError, match="those before are back, and it does not start with them either. Its last"):
        deploy(host.wanted(Wanted("a.conf", "a\n"), service=Service("daemon")))
    assert (host.state(), systemd) == (before, ["start 1", "restart 1"])


def test_with_files_that_are_not_valid_it_is_not_started(host, systemd):
    with pytest.raises(ConfigError, match="not valid and was not put in place"):
        deploy(host.wanted(Wanted("a.conf", "BROKEN\n"), service=Service("daemon")))
    assert systemd == []


def test_a_run_that_was_killed_before_the_start_is_completed(host, killed, systemd):
    killed.daemon = replace(killed.daemon, service=Service("daemon"))
    assert deploy(killed) == ["conf.d/a.conf", "conf.d/b.conf"]
    assert (systemd, host.reloads()) == (["start 0"], 0)


def test_a_run_that_was_killed_at_a_start_that_fails_is_put_back(host, systemd):
    before = host.state()
    config = host.wanted(Wanted("a.conf", "TAKEN\n"), service=Service("daemon"))
    swap = Swap(config.root, config.changes())
    swap.begin()
    swap.make()
    with pytest.raises(ConfigError, match="those before are back, and it runs with them"):
        deploy(config)
    assert host.state() == before
