# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Run a program as another user, with exactly one environment and a time limit."""

from __future__ import annotations

import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

# What a program gets when nobody said anything else: no variable of the person who runs Ansible leaks in.
BASE_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}

NO_LOGIN = "/usr/sbin/nologin"
# Shells of accounts that nobody logs in to; one with another shell belongs to a person.
_NOT_FOR_PEOPLE = (NO_LOGIN, "/sbin/nologin", "/bin/false", "/usr/bin/false")


class UserError(Exception):
    """The account does not exist, or this process may not become it."""


@dataclass(frozen=True)
class Result:
    """What a finished program left behind."""

    cmd: list[str]
    rc: int
    stdout: str
    stderr: str
    timed_out: bool = False

    def report(self) -> dict:
        """The keys every module of Ansible uses to describe a failed command."""
        return {"cmd": self.cmd, "rc": self.rc, "stdout": self.stdout, "stderr": self.stderr}

    def last_lines(self, count: int = 8) -> str:
        """The end of what the program said, where the reason of a failure usually is."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return "\n".join(lines[-count:])


def account(user: str) -> pwd.struct_passwd:
    """The account database's entry of a user name."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise UserError(f"user {user} does not exist on this host; create it first") from None


def refuse_person(app: str) -> None:
    """The app's account is made where there is none; one that somebody can log in to is not taken over."""
    try:
        entry = pwd.getpwnam(app)
    except KeyError:
        return
    if entry.pw_uid == 0 or entry.pw_shell not in _NOT_FOR_PEOPLE:
        raise UserError(
            f"user {app} exists, and somebody can log in as it (shell {entry.pw_shell}); give the app another name, "
            f"or the user the shell {NO_LOGIN}"
        )


def credentials(user: str | None) -> dict:
    """Arguments for subprocess.Popen that make the child the given user, with that user's groups."""
    if user is None:
        return {}
    entry = account(user)
    if entry.pw_uid == os.geteuid():
        return {}
    if os.geteuid() != 0:
        raise UserError(f"cannot become user {user}: the module itself has to run as root (become: true)")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid)}


def run(
    argv: list[str],
    *,
    environment: dict[str, str] | None = None,
    cwd: str | None = None,
    user: str | None = None,
    timeout: float | None = None,
    stdin: str = "",
    umask: int = 0o022,
    pass_fds: tuple[int, ...] = (),
) -> Result:
    """Run a program and wait for it; on a time-out its whole process group is killed."""
    if not shutil.which(argv[0], path=(BASE_ENVIRONMENT | (environment or {}))["PATH"]):
        return Result(argv, 127, "", f"{argv[0]} does not exist, or cannot be run")
    # Files, not pipes: a daemon that the program leaves behind would hold a pipe open for ever.
    with (
        os.fdopen(os.memfd_create("stdin"), "wb+") as given,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        given.write(stdin.encode())
        given.seek(0)
        # run_command knows neither another user nor a group of processes to end.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function,consider-using-with
            argv,
            stdin=given,
            stdout=stdout,
            stderr=stderr,
            env=BASE_ENVIRONMENT | (environment or {}),
            cwd=cwd,
            umask=umask,
            pass_fds=pass_fds,
            start_new_session=True,
            **credentials(user),
        )
        timed_out = not _ends(process, timeout)
        if timed_out:
            os.killpg(process.pid, signal.SIGKILL)
        return Result(argv, process.wait(), _text(stdout), _text(stderr), timed_out)


def _ends(process: subprocess.Popen, timeout: float | None) -> bool:
    """Whether a program ends in time. The kernel says when; Popen.wait with a time limit looks only every 50 ms."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:  # a kernel before 5.3, or one that is shared and does not allow it
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
        return process.returncode is not None
    try:
        return bool(select.select([handle], [], [], timeout)[0])
    finally:
        os.close(handle)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "backslashreplace")
