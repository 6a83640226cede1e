# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import pwd
import sys
import time
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils._process import (
    Result,
    UserError,
    account,
    credentials,
    refuse_person,
    run,
)


def sh(script: str, **options) -> Result:
    return run(["/bin/sh", "-c", script], **options)


def test_the_environment_is_exactly_the_given_one(monkeypatch):
    monkeypatch.setenv("PERSONAL", "of whoever runs Ansible")
    outcome = run(["/usr/bin/env", "-0"], environment={"A": "é\n%$(x)", "LANG": "de_DE.UTF-8"})
    assert dict(line.split("=", 1) for line in outcome.stdout.split("\0") if line) == {
        "A": "é\n%$(x)",
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }


def test_the_outcome_has_what_ansible_shows():
    outcome = sh("echo out; echo err >&2; exit 3")
    assert outcome.report() == {
        "cmd": ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"],
        "rc": 3,
        "stdout": "out\n",
        "stderr": "err\n",
    }
    assert not outcome.timed_out


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for counts as ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as status:
            return status.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_end_is_noticed_at_once(monkeypatch):
    def looked_again_later(seconds: float) -> None:
        raise AssertionError(f"it slept for {seconds} s before it looked whether the program has ended")

    monkeypatch.setattr(time, "sleep", looked_again_later)
    assert sh("sleep 0.2; echo out", timeout=10).stdout == "out\n"


@pytest.mark.parametrize(("seconds", "timed_out"), [("0.01", False), ("10", True)])
def test_a_kernel_that_does_not_tell_is_looked_at(monkeypatch, seconds, timed_out):
    def refuse(_pid: int) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert run(["/bin/sleep", seconds], timeout=0.5).timed_out is timed_out


def test_a_timeout_ends_the_grandchildren_too(tmp_path):
    started = time.monotonic()
    script = f"sh -c 'echo $$ > {tmp_path}/pid; sleep 60' & echo before; wait"
    outcome = sh(script, timeout=0.5)
    assert time.monotonic() - started < 10
    assert outcome.timed_out
    assert outcome.rc == -9
    assert outcome.stdout == "before\n"
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert gone(pid)


def test_standard_input_is_given_and_otherwise_empty():
    assert run(["cat"], stdin="é\n").stdout == "é\n"
    assert run(["cat"], timeout=10).stdout == ""


def test_a_program_that_reads_no_input_is_no_failure():
    assert run(["true"], stdin="x" * 1_000_000).rc == 0


def test_output_that_is_no_utf8_can_be_read():
    assert sh(r"printf 'caf\351 \303\251'").stdout == r"caf\xe9 é"


def test_folder_and_umask(tmp_path):
    assert sh("pwd; umask", cwd=str(tmp_path), umask=0o027).stdout == f"{tmp_path}\n0027\n"


def test_file_descriptors_are_passed_on_request():
    reading, writing = os.pipe()
    try:
        answer = [sys.executable, "-c", f"import os; os.write({writing}, b'answer')"]
        assert run(answer, pass_fds=(writing,)).rc == 0
        assert os.read(reading, 100) == b"answer"
        assert "Bad file descriptor" in run(answer).stderr
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize(
    ("stdout", "stderr", "expected"),
    [
        pytest.param("out", "err1\nerr2\nerr3\n", "err2\nerr3", id="the end of the errors"),
        pytest.param("out1\nout2\nout3\n", " \n", "out2\nout3", id="of the output where there are no errors"),
        pytest.param("", "", "", id="nothing"),
    ],
)
def test_last_lines(stdout, stderr, expected):
    assert Result(["x"], 1, stdout, stderr).last_lines(2) == expected


def test_an_unknown_user_is_named():
    with pytest.raises(UserError, match="user no-such-user-here does not exist on this host; create it first"):
        account("no-such-user-here")
    with pytest.raises(UserError, match="no-such-user-here"):
        run(["true"], user="no-such-user-here")


def test_nothing_changes_for_oneself():
    myself = pwd.getpwuid(os.geteuid()).pw_name
    assert credentials(None) == {}
    assert credentials(myself) == {}
    assert run(["id", "-u"], user=myself).stdout == f"{os.geteuid()}\n"


def someone_else() -> pwd.struct_passwd:
    return next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, os.geteuid()))


def test_only_root_may_become_someone_else(monkeypatch):
    other = someone_else()
    monkeypatch.setattr(os, "geteuid", lambda: other.pw_uid + 1)
    with pytest.raises(UserError, match=rf"cannot become user {other.pw_name}: .*root \(become: true\)"):
        run(["true"], user=other.pw_name)


def test_root_becomes_a_user_with_its_groups_and_no_others(monkeypatch):
    other = someone_else()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert credentials(other.pw_name) == {
        "user": other.pw_uid,
        "group": other.pw_gid,
        "extra_groups": os.getgrouplist(other.pw_name, other.pw_gid),
    }


@pytest.mark.parametrize(("shell", "uid"), [("/bin/bash", 1000), ("", 1000), ("/usr/sbin/nologin", 0)])
def test_the_account_of_a_person_is_refused(monkeypatch, shell, uid):
    monkeypatch.setattr(pwd, "getpwnam", lambda _name: SimpleNamespace(pw_shell=shell, pw_uid=uid))
    with pytest.raises(UserError, match="give the app another name"):
        refuse_person("ann")


@pytest.mark.parametrize("shell", ["/usr/sbin/nologin", "/bin/false"])
def test_the_account_of_an_app_is_not(monkeypatch, shell):
    monkeypatch.setattr(pwd, "getpwnam", lambda _name: SimpleNamespace(pw_shell=shell, pw_uid=990))
    refuse_person("shop")
