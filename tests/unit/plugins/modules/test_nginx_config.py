# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils import _config_service, _files
from ansible_collections.emperor.web.plugins.module_utils import _module_nginx_config as nginx_config
from ansible_collections.emperor.web.plugins.module_utils._config_error import ConfigError
from ansible_collections.emperor.web.plugins.module_utils._config_set import Wanted
from ansible_collections.emperor.web.plugins.module_utils._config_swap import Change, State, Swap, work_folder
from ansible_collections.emperor.web.plugins.module_utils._module_nginx_config import diff_of, wanted_file
from ansible_collections.emperor.web.plugins.module_utils._process import Result


def entry(**changes) -> dict:
    return {"path": "conf.d/a.conf", "content": "a\n", "mode": "0644", "state": "present"} | changes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Wanted("conf.d/a.conf", "a\n", 0o644)),
        ({"mode": "0600"}, Wanted("conf.d/a.conf", "a\n", 0o600)),
        ({"mode": "640"}, Wanted("conf.d/a.conf", "a\n", 0o640)),
        ({"state": "absent"}, Wanted("conf.d/a.conf", None, 0o644)),
        ({"content": ""}, Wanted("conf.d/a.conf", "", 0o644)),
    ],
)
def test_an_entry_is_a_wanted_file(changes, expected):
    assert wanted_file(entry(**changes)) == expected


@pytest.mark.parametrize("mode", ["u=rw", "0888", "", "rw-r--r--"])
def test_a_mode_that_is_none_says_how_to_write_it(mode):
    with pytest.raises(ConfigError, match="of conf.d/a.conf is no octal number; write it as '0644'"):
        wanted_file(entry(mode=mode))


def test_diff_shows_what_the_text_does_not():
    new = State("a\n", 0o644, (0, 0))
    changes = [
        Change("new", State(), new),
        Change("changed", State("b\n", 0o644, (0, 0)), new),
        Change("rights", State("a\n", 0o600, (33, 33)), new),
        Change("gone", State(link="../available/gone"), State()),
        Change("link", State(link="elsewhere"), new),
        Change("bytes", State("\udcff\n", 0o644), State()),
    ]
    shown = [tuple(entry.values()) for entry in diff_of(changes)]
    assert shown == [
        ("new (absent)", "new", "", "a\n"),
        ("changed", "changed", "b\n", "a\n"),
        ("rights (0600 33:33)", "rights (0644 0:0)", "a\n", "a\n"),
        ("gone -> ../available/gone", "gone (absent)", "", ""),
        ("link -> elsewhere", "link", "", "a\n"),
        ("bytes", "bytes (absent)", "\ufffd\n", ""),
    ]


# The module.


@pytest.fixture
def nginx(tmp_path):
    """A folder, and commands in place of Nginx: the test refuses the word BROKEN."""
    root = tmp_path / "nginx"
    root.mkdir()
    (root / "nginx.conf").write_text("events {}\n")
    for name, text in {"test": '! grep -Rn BROKEN "$1"/', "reload": f"echo x >> {tmp_path}/reloads"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    return {"root": str(root), "validate": f"{tmp_path}/test %s", "reload": f"{tmp_path}/reload", "pid_file": ""}


def state(nginx) -> dict[str, str]:
    return {
        os.path.relpath(os.path.join(parent, name), nginx["root"]): _files.read_text(os.path.join(parent, name))
        for parent, _folders, names in os.walk(nginx["root"])
        for name in names
    }


def test_check_mode_foretells_the_real_run_and_a_second_one_changes_nothing(run_module, nginx, tmp_path):
    arguments = nginx | {"files": [{"path": "conf.d/a.conf", "content": "a\n"}, {"path": "b", "state": "absent"}]}
    before = state(nginx)
    foretold = run_module(nginx_config, arguments, check=True)
    assert state(nginx) == before
    real = run_module(nginx_config, arguments)
    again = run_module(nginx_config, arguments)
    assert [result["changed"] for result in (foretold, real, again)] == [True, True, False]
    assert foretold["files"] == real["files"] == ["conf.d/a.conf"]
    assert foretold["diff"] == real["diff"]
    assert (again["files"], again["diff"]) == ([], [])
    assert [result.get("atomic") for result in (foretold, real, again)] == [None, True, None]
    assert all(result["tested"] for result in (foretold, real, again))
    assert state(nginx) == before | {"conf.d/a.conf": "a\n"}
    assert (tmp_path / "reloads").read_text() == "x\n"


@pytest.mark.parametrize("check", [False, True])
def test_a_broken_file_fails_each_time_and_changes_nothing(run_module, nginx, check):
    arguments = nginx | {"files": [{"path": "conf.d/a.conf", "content": "BROKEN\n"}]}
    before = state(nginx)
    for _run in range(2):
        result = run_module(nginx_config, arguments, check=check)
        assert f"not valid and was not put in place: {nginx['root']}/conf.d/a.conf:1:BROKEN" in result["msg"]
        assert result["rc"] == 1
        assert {"cmd", "stdout", "stderr"} <= set(result)
        assert state(nginx) == before


@pytest.mark.parametrize("check", [False, True])
def test_a_broken_host_is_noticed_without_a_change(run_module, nginx, check):
    with open(f"{nginx['root']}/mine.conf", "w", encoding="utf-8") as mine:
        mine.write("BROKEN\n")
    result = run_module(
        nginx_config, nginx | {"files": [{"path": "nginx.conf", "content": "events {}\n"}]}, check=check
    )
    assert "mine.conf:1:BROKEN" in result["msg"]


def test_a_host_without_the_daemon(run_module, nginx):
    arguments = nginx | {"validate": "no-such-daemon -t %s", "files": [{"path": "a", "content": "a\n"}]}
    foretold = run_module(nginx_config, arguments, check=True)
    assert (foretold["changed"], foretold["tested"]) == (True, False)
    result = run_module(nginx_config, arguments)
    assert result["msg"] == "no-such-daemon is not installed, so nothing can test the files"
    assert set(state(nginx)) == {"nginx.conf"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([{"path": "a"}], "state is present but all of the following are missing: content"),
        ([{"path": "a", "content": "x", "mode": "u=rw"}], "mode 'u=rw' of a is no octal number; write it as '0644'"),
        ([{"path": "../a", "content": "x"}], "path ../a has to be relative to"),
        ([{"path": "a", "content": "x"}, {"path": "./a", "state": "absent"}], "a is given twice"),
        ([{"path": "nginx.conf/a", "content": "x"}], "nginx.conf"),
    ],
    ids=["no content", "mode", "outside", "twice", "below a file"],
)
def test_bad_entries_are_refused(run_module, nginx, files, said):
    before = state(nginx)
    result = run_module(nginx_config, nginx | {"files": files})
    assert said in result["msg"]
    assert state(nginx) == before


def test_a_pattern_that_is_none_is_refused(run_module, nginx):
    result = run_module(nginx_config, nginx | {"files": [], "refuse": ["(open"]})
    assert result["msg"].startswith("'(open' in refuse is no regular expression: missing )")


def test_an_owned_folder_is_shown_and_emptied(run_module, nginx):
    mine = Path(nginx["root"]) / "conf.d/mine.conf"
    mine.parent.mkdir()
    mine.write_text("by hand\n")
    arguments = nginx | {"owns": ["conf.d"], "files": [{"path": "conf.d/a.conf", "content": "a\n"}]}
    foretold = run_module(nginx_config, arguments, check=True)
    assert mine.exists()
    real = run_module(nginx_config, arguments)
    assert foretold["diff"] == real["diff"]
    assert real["diff"][1]["before"] == "by hand\n"
    assert real["diff"][1]["after_header"] == "conf.d/mine.conf (absent)"
    assert set(state(nginx)) == {"nginx.conf", "conf.d/a.conf"}


def test_a_folder_that_is_a_link_is_changed_where_it_leads(run_module, nginx, tmp_path):
    (tmp_path / "link").symlink_to(nginx["root"])
    arguments = nginx | {"root": f"{tmp_path}/link"}
    files = [{"path": name, "content": f"include {tmp_path}/link/nginx.conf;\n"} for name in ("a", "b")]
    result = run_module(nginx_config, arguments | {"files": files})
    assert (result["changed"], result["atomic"]) == (True, True)
    assert os.readlink(tmp_path / "link") == nginx["root"]
    assert set(state(nginx)) == {"nginx.conf", "a", "b"}
    broken = run_module(nginx_config, arguments | {"files": [{"path": "a", "content": "BROKEN\n"}]})
    assert f"{tmp_path}/link/a:1:BROKEN" in broken["msg"]
    assert not os.path.exists(work_folder(nginx["root"]))


@pytest.fixture
def warnings(monkeypatch) -> list[str]:
    """What the module warns of."""
    told: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: told.append(text))
    return told


def test_a_killed_run_is_told_and_completed(run_module, nginx, warnings):
    swap = Swap(nginx["root"], [Change("a", State(), State("a\n", 0o644, (os.geteuid(), os.getegid())))])
    swap.begin()
    swap.make()
    arguments = nginx | {"files": [{"path": "a", "content": "a\n"}]}
    foretold = run_module(nginx_config, arguments, check=True)
    real = run_module(nginx_config, arguments)
    again = run_module(nginx_config, arguments)
    assert [result["changed"] for result in (foretold, real, again)] == [True, True, False]
    assert [result["files"] for result in (foretold, real, again)] == [["a"], ["a"], []]
    assert [text[:32] for text in warnings] == ["a run before this one was killed"] * 2


def test_a_warning_of_what_was_there_is_told(run_module, nginx, tmp_path, warnings):
    (tmp_path / "test").write_text("#!/bin/sh\necho 'conflicting server name \"shop\"' >&2\n")
    result = run_module(nginx_config, nginx | {"files": [{"path": "a", "content": "a\n"}]})
    assert result["changed"]
    assert warnings == ['the live configuration has this already: conflicting server name "shop"']


@pytest.mark.parametrize(("name", "taken"), [("", True), ("_", True), ("_shop", False), ("shop", False)])
def test_a_name_that_nobody_asks_for_is_no_reason_to_refuse(run_module, nginx, tmp_path, name, taken):
    (tmp_path / "test").write_text(f"#!/bin/sh\n[ ! -e $1/a ] || echo 'conflicting server name \"{name}\"' >&2\n")
    result = run_module(nginx_config, nginx | {"files": [{"path": "a", "content": "a\n"}]})
    assert result["changed" if taken else "failed"]


# The service.


@pytest.fixture
def unit(monkeypatch) -> dict[str, str]:
    """What systemd says of a service that is stopped and disabled, until it is told otherwise."""
    unit = {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"}

    def run(argv: list[str], **_options) -> Result:
        if argv[1] == "start":
            unit["ActiveState"] = "active"
        if argv[1] == "enable":
            unit["UnitFileState"] = "enabled"
        return Result(argv, 0, "".join(f"{name}={value}\n" for name, value in unit.items()), "")

    monkeypatch.setattr(_config_service, "run", run)
    return unit


@pytest.mark.parametrize("files", [[], [{"path": "a", "content": "a\n"}]], ids=["files as they are", "files to change"])
def test_check_mode_foretells_what_is_done_to_the_service(run_module, nginx, unit, files, tmp_path):
    arguments = nginx | {"files": files, "service": "nginx"}
    foretold = run_module(nginx_config, arguments, check=True)
    assert unit["ActiveState"] == "inactive"
    assert unit["UnitFileState"] == "disabled"
    real = run_module(nginx_config, arguments)
    again = run_module(nginx_config, arguments)
    assert [result["changed"] for result in (foretold, real, again)] == [True, True, False]
    assert [result["service_changes"] for result in (foretold, real, again)] == [["enabled", "started"]] * 2 + [[]]
    assert foretold["diff"] == real["diff"]
    assert (real["diff"][-1]["before"], real["diff"][-1]["after"]) == (
        "not enabled\nnot started\n",
        "enabled\nstarted\n",
    )
    assert again["diff"] == []
    assert not (tmp_path / "reloads").exists()


def test_a_service_that_is_not_named_is_left_alone(run_module, nginx, unit):
    before = dict(unit)
    result = run_module(nginx_config, nginx | {"files": [{"path": "a", "content": "a\n"}]})
    assert "service_changes" not in result
    assert unit == before


@pytest.mark.parametrize("check", [False, True])
def test_a_masked_service_is_refused_before_anything_is_changed(run_module, nginx, unit, check):
    unit |= {"LoadState": "masked", "UnitFileState": "masked"}
    before = state(nginx)
    arguments = nginx | {"files": [{"path": "a", "content": "a\n"}], "service": "nginx"}
    result = run_module(nginx_config, arguments, check=check)
    assert "the service nginx is masked" in result["msg"]
    assert state(nginx) == before


def test_on_a_bare_host_check_mode_foretells_nothing_of_the_service(run_module, nginx, unit):
    unit |= {"LoadState": "not-found", "UnitFileState": ""}
    arguments = nginx | {"validate": "no-such-daemon -t %s", "files": [{"path": "a", "content": "a\n"}]}
    foretold = run_module(nginx_config, arguments | {"service": "nginx"}, check=True)
    assert (foretold["changed"], foretold["tested"]) == (True, False)
    assert "service_changes" not in foretold
