# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits: their values, and files of the kernel in a folder that looks like its control groups."""

from __future__ import annotations

import os
import re
import resource

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _limits
from ansible_collections.emperor.web.plugins.module_utils._limits import (
    DEFAULTS,
    LimitError,
    check_limits,
    differences,
    directives,
    in_force,
    missing_controllers,
    most_files,
    processes,
    properties,
    set_open_files,
)

GROUP = "/system.slice/uwsgi-emperor@shop.service"


# Values.


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ({}, {}),
        ({"memory": None, "tasks": None}, {}),
        ({"memory": "512m", "cpu": "150", "tasks": 32}, {"memory": "512M", "cpu": 150, "tasks": 32}),
        ({"memory": 1 << 30}, {"memory": str(1 << 30)}),
        ({"memory": "infinity", "memory_swap": "0"}, {"memory": "infinity", "memory_swap": "0"}),
        ({"memory": "1%", "open_files": 256}, {"memory": "1%", "open_files": 256}),
    ],
)
def test_good_limits(given, changes):
    assert check_limits(given) == DEFAULTS | changes


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"ram": "1G"}, "limits has ram, and there is no such limit; there are memory, memory_swap, cpu, tasks"),
        ({"cpu": 0}, "limits.cpu is 0; give a number from 1 to 100000 (percent of one processor"),
        ({"cpu": "50%"}, "limits.cpu is '50%'; give a number from 1"),
        ({"tasks": 31}, "limits.tasks is 31; give a number from 32 to 1048576 (processes and threads)"),
        ({"tasks": True}, "limits.tasks is True"),
        ({"open_files": 255}, "limits.open_files is 255; give a number from 256 to 1048576"),
        *(
            ({"memory": value}, f"limits.memory is {value!r}; give bytes")
            for value in ("63M", "1 GB", "0%", "101%", -1)
        ),
        ({"memory": "1.5G"}, "limits.memory is '1.5G'"),
        ({"memory": "1G\nExecStart=/bin/sh"}, "limits.memory is "),
        ({"memory_swap": "much"}, "limits.memory_swap is 'much'; give bytes"),
    ],
)
def test_bad_limits_are_refused_with_what_can_be_given(given, part):
    with pytest.raises(LimitError, match=re.escape(part)):
        check_limits(given)


def test_the_words_for_systemd():
    limits = check_limits({"memory": "1G", "memory_swap": "0", "cpu": 150, "tasks": 64, "open_files": 300})
    assert properties(limits) == ["MemoryMax=1G", "MemorySwapMax=0", "CPUQuota=150%", "TasksMax=64"]
    assert directives(limits)[-2:] == ["TasksMax=64", "LimitNOFILE=300:300"]
    assert properties(check_limits({})) == ["MemoryMax=75%", "MemorySwapMax=infinity", "CPUQuota=", "TasksMax=512"]
    assert directives(check_limits({}), missing=["cpu", "pids"])[-2:] == ["LimitNPROC=512", "LimitNOFILE=1024:65536"]


# The kernel.


@pytest.fixture
def kernel(tmp_path):
    """A function that makes files of the kernel, each with a text."""

    def make(files: dict[str, str]) -> str:
        for name, text in files.items():
            path = tmp_path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path)

    return make


V2 = {"memory.max": "536870912\n", "memory.swap.max": "max\n", "cpu.max": "150000 100000\n", "pids.max": "64\n"}
V1 = {
    "memory/memory.limit_in_bytes": "536870912\n",
    "cpu/cpu.cfs_quota_us": "150000\n",
    "cpu/cpu.cfs_period_us": "100000\n",
    "pids/pids.max": "64\n",
}
FOUND = {"memory": 536870912, "memory_swap": None, "cpu": 150, "tasks": 64}


def test_limits_are_read_in_both_versions_of_control_groups(kernel, tmp_path):
    files = os.getpid()
    two = kernel({f"two{GROUP}/{name}": text for name, text in V2.items()}) + "/two"
    one = kernel({f"one/{name.replace('/', f'{GROUP}/')}": text for name, text in V1.items()}) + "/one"
    expected = FOUND | {"open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[1]}
    assert in_force(GROUP, files, two) == in_force(GROUP, files, one) == expected
    none = dict.fromkeys(FOUND)
    assert in_force(GROUP, files, str(tmp_path / "none")) == none | {"open_files": expected["open_files"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [("memory.max", "max\n"), ("cpu.max", "max 100000\n"), ("memory.max", "9223372036854771712\n"), ("pids.max", "")],
)
def test_no_limit_is_none(kernel, name, text):
    root = kernel({f"{GROUP}/{name}": text})
    assert set(in_force(GROUP, 1 << 30, root).values()) == {None}


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"cgroup.controllers": "cpuset cpu io memory pids\n"}, []),
        ({"cgroup.controllers": "cpu pids\n"}, ["memory"]),
        ({"cgroup.controllers": "\n"}, ["cpu", "memory", "pids"]),
        ({"unified/cgroup.controllers": "", "memory/x": "", "pids/x": ""}, ["cpu"]),
    ],
)
def test_missing_controllers(kernel, files, missing):
    assert missing_controllers(kernel(files)) == missing


LIMITS = {"memory": "512M", "cpu": 150, "tasks": 64, "open_files": 1000}


@pytest.mark.parametrize(
    ("limits", "found", "wrong"),
    [
        ({}, {}, []),
        ({}, {"memory": (512 << 20) - 4096}, []),
        ({}, {"memory": 256 << 20, "tasks": None}, ["memory", "tasks"]),
        ({"cpu": None}, {}, ["cpu"]),
        ({}, {"cpu": 149, "open_files": 999}, ["cpu", "open_files"]),
        ({"memory": "infinity"}, {}, ["memory"]),
        ({"memory": "infinity"}, {"memory": None}, []),
        ({"memory": "50%"}, {}, []),
        ({"memory": "50%"}, {"memory": 1 << 30}, ["memory"]),
        ({"memory_swap": "0"}, {}, ["memory_swap"]),
        ({"memory_swap": "1G"}, {"memory_swap": 1 << 30}, []),
        ({}, {"memory_swap": 1 << 30}, []),
    ],
)
def test_what_is_not_in_force(monkeypatch, limits, found, wrong):
    monkeypatch.setattr(_limits, "most_files", lambda _pid: 1000)
    shown = {"MemoryMax": str(512 << 20), "MemorySwapMax": "infinity"}
    assert differences(check_limits(LIMITS | limits), FOUND | {"open_files": 1000} | found, shown) == wrong


def test_a_host_that_allows_fewer_files_is_not_asked_for_more(monkeypatch):
    monkeypatch.setattr(_limits, "most_files", lambda _pid: 500)
    assert differences(check_limits(LIMITS), FOUND | {"open_files": 500}, {}) == []


def test_processes_that_run_get_the_limit_of_open_files(kernel, monkeypatch):
    mine, gone = os.getpid(), 1 << 22
    root = kernel({f"systemd{GROUP}/cgroup.procs": f"{mine}\n{gone}\n"})
    assert processes(GROUP, root) == [mine, gone]
    assert processes("/nowhere", root) == []
    done = []

    def prlimit(pid, _which, limits):
        if pid == gone:
            raise ProcessLookupError
        done.append((pid, limits))

    monkeypatch.setattr(_limits.resource, "prlimit", prlimit)
    set_open_files(GROUP, mine, 5000, root)
    set_open_files(GROUP, gone, 5000, root)
    assert done == [(mine, (1024, 5000)), (mine, (5000, 5000))]


def test_the_most_files_of_a_process():
    assert most_files(os.getpid()) == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert most_files(1 << 30) is None
