# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _uwsgi_host
from ansible_collections.emperor.web.plugins.module_utils._process import Result
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_host import (
    KernelError,
    allow_listen,
    check_listen,
    completed,
    default_processes,
    known_options,
    memory,
    served_python,
)
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_options import UwsgiError

HELP = """Usage: /usr/bin/uwsgi [options...]
    -s|--socket                           bind to the specified UNIX/TCP socket using default protocol
    -p|--processes                        spawn the specified number of workers/processes
       --max-requests-delta               add (worker_id * delta) to the max_requests value of each worker
    --harakiri                            set harakiri timeout --not-an-option
"""
GB = 1 << 30


@pytest.fixture
def installed(monkeypatch):
    """A host whose uWSGI says what is in C(said)."""
    said = {"--help": HELP, "--version": "2.0.21-debian\n", "--python-version": "3.12.3\n"}
    monkeypatch.setattr(_uwsgi_host.shutil, "which", lambda _name: "/usr/bin/uwsgi")
    monkeypatch.setattr(_uwsgi_host, "run", lambda argv, **_options: Result(argv, 0, said[argv[-1]], ""))
    return said


def test_the_options_of_a_host(installed):
    assert known_options("python3") == {"socket", "processes", "max-requests-delta", "harakiri"}


def test_a_host_without_uwsgi_tells_nothing(monkeypatch):
    monkeypatch.setattr(_uwsgi_host.shutil, "which", lambda _name: None)
    assert known_options("python3") == frozenset()
    assert served_python() is None


@pytest.mark.parametrize(("said", "expected"), [("3.12.3\n", "3.12"), ("", None)])
def test_the_python_of_uwsgi(installed, said, expected):
    installed["--python-version"] = said
    assert served_python() == expected


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (
            {"harakri": 3},
            "uwsgi: harakri: this host's uWSGI (2.0.21-debian) has no such option; did you mean harakiri?",
        ),
        ({"zzz": 1, "yyy": 2}, "uwsgi: yyy, zzz: this host's uWSGI (2.0.21-debian) has no such option; see uwsgi"),
    ],
)
def test_what_the_host_does_not_know_is_refused(installed, options, part):
    with pytest.raises(UwsgiError) as refused:
        completed(options, known_options("python3"))
    assert part in str(refused.value)


@pytest.mark.parametrize(
    ("options", "known", "expected"),
    [
        ({}, ["max-requests-delta"], 250),
        ({}, ["x"], None),
        ({}, [], None),
        ({"max-requests": 10}, ["max-requests", "max-requests-delta"], 1),
        ({"max-requests": False}, ["max-requests", "max-requests-delta"], None),
        ({"max-requests-delta": 7}, ["max-requests-delta"], 7),
        ({"max-requests-delta": False}, ["max-requests-delta"], False),
    ],
)
def test_workers_are_replaced_one_after_the_other_where_uwsgi_can(options, known, expected):
    assert completed(options, frozenset(known)).get("max-requests-delta") is expected


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [(1, 0.5, 2), (2, 1, 4), (2, 4, 4), (4, 2, 8), (4, 1, 4), (8, 16, 16), (64, 256, 16), (1, 64, 2), (16, 0.45, 2)],
)
def test_processes_follow_from_processors_and_memory(count, size, expected):
    assert default_processes(count, int(size * GB * 0.96)) == expected, "the kernel keeps some of it for itself"
    assert default_processes(count, int(size * GB)) == expected


def test_a_user_has_the_say_on_processes(monkeypatch):
    monkeypatch.setattr(_uwsgi_host, "cores", lambda: 1)
    assert completed({}, frozenset())["processes"] == 2
    assert completed({"workers": 9}, frozenset()) == {"processes": 9}
    assert completed({"processes": False}, frozenset()) == {"processes": False}
    with pytest.raises(UwsgiError, match="cheaper is 3 and processes 2"):
        completed({"cheaper": 3}, frozenset())


def test_memory(tmp_path):
    (tmp_path / "meminfo").write_text("MemFree: 1 kB\nMemTotal:        2048 kB\n")
    assert memory(str(tmp_path / "meminfo")) == 2 << 20
    assert memory(str(tmp_path / "nowhere")) == 0


# The listen queue.


@pytest.fixture
def kernel(tmp_path):
    (tmp_path / "somaxconn").write_text("4096\n")
    return {"path": str(tmp_path / "somaxconn"), "file": str(tmp_path / "sysctl.d/60.conf")}


@pytest.mark.parametrize("listen", [0, 1024, 4096])
def test_a_queue_that_the_kernel_gives_needs_nothing(kernel, listen):
    assert allow_listen(listen, False, **kernel) == []
    assert not os.path.exists(kernel["file"])


def test_a_longer_queue_is_allowed_now_and_after_a_boot(kernel):
    planned = allow_listen(8192, True, **kernel)
    assert [(path, before) for path, before, _after in planned] == [(kernel["path"], "4096\n"), (kernel["file"], "")]
    assert Path(kernel["path"]).read_text() == "4096\n"
    assert allow_listen(8192, False, **kernel) == planned
    assert Path(kernel["path"]).read_text() == "8192"
    assert Path(kernel["file"]).read_text().endswith("\nnet.core.somaxconn = 8192\n")
    assert allow_listen(8192, False, **kernel) == allow_listen(5000, False, **kernel) == []
    os.unlink(kernel["file"])
    assert [path for path, _before, _after in allow_listen(8192, False, **kernel)] == [kernel["file"]]


def test_a_kernel_with_less_than_usual_is_told_too(kernel):
    Path(kernel["path"]).write_text("128\n")
    assert len(allow_listen(1024, False, **kernel)) == 2
    assert Path(kernel["path"]).read_text() == "1024"


def test_a_kernel_that_cannot_be_told_is_named(kernel, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(_uwsgi_host, "open", refuse, raising=False)
    with pytest.raises(
        KernelError, match=r"listen is 8192, but the kernel gives queues of 4096 .* listen from 1 to 4096"
    ):
        allow_listen(8192, False, **kernel)


def test_a_kernel_that_does_not_do_what_it_was_told_is_found_out(kernel, monkeypatch):
    monkeypatch.setattr(_uwsgi_host, "open", lambda *_a, **_o: io.StringIO(), raising=False)
    with pytest.raises(KernelError, match="listen is 8192, but the kernel gives queues of 4096"):
        allow_listen(8192, False, **kernel)


def test_a_queue_is_refused_before_a_build(kernel, monkeypatch):
    check_listen({"listen": 9000}, final=False, path=kernel["path"])
    with pytest.raises(
        UwsgiError, match=r"uwsgi: listen is 9000, but the kernel .* from 1 to 4096, or have emperor.web"
    ):
        check_listen({"listen": 9000}, final=True, path=kernel["path"])
    monkeypatch.setattr(_uwsgi_host.os, "access", lambda *_a: False)
    with pytest.raises(UwsgiError, match="uwsgi: listen is 9000, but the kernel gives queues of 4096"):
        check_listen({"listen": 9000}, final=False, path=kernel["path"])
    check_listen({"listen": 4096}, final=True, path=kernel["path"])
    check_listen({"listen": 9000}, final=True, path=kernel["path"] + ".none")
