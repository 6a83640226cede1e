# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _memory

MB = 1 << 20


def machine(tmp_path, available: int, swap: int = 0, group: str = "/system.slice/uwsgi.service", **files: dict) -> dict:
    """A process 7 in a control group, and what the kernel says of both."""
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "7").mkdir(parents=True)
    (proc / "meminfo").write_text(
        f"MemTotal:       999999 kB\nMemAvailable:   {available << 10} kB\nSwapFree: {swap << 10} kB\n"
    )
    (proc / "7" / "cgroup").write_text(f"1:name=x:/other\n0::{group}\n")
    for name, content in files.items():
        folder = groups / ("system.slice" if name == "slice" else "system.slice/uwsgi.service")
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in content.items():
            (folder / f"memory.{key}").write_text(f"{value}\n")
    return {"proc": str(proc), "groups": str(groups)}


UNIT = {"max": 400 * MB, "current": 300 * MB, "stat": f"anon 1\ninactive_file {50 * MB}\nactive_file 9"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"available": 900}, 900),
        ({"available": 900, "swap": 100}, 1000),
        ({"available": 900, "unit": {"max": "max", "current": 1}}, 900),
        ({"available": 900, "unit": UNIT}, 150),
        ({"available": 100, "unit": UNIT}, 100),
        ({"available": 900, "unit": UNIT, "slice": {"max": 500 * MB, "current": 460 * MB}}, 40),
        ({"available": 900, "unit": UNIT | {"current": 500 * MB}}, 0),
        ({"available": 900, "swap": 80, "unit": UNIT}, 230),
        ({"available": 900, "swap": 80, "unit": UNIT | {"swap.max": 30 * MB, "swap.current": 10 * MB}}, 170),
        ({"available": 900, "group": ""}, 900),
    ],
    ids=[
        "no group's limits",
        "with swap",
        "no limit",
        "limit of the unit",
        "less on the machine",
        "limit of a slice",
        "over the limit",
        "swap for the unit",
        "limit of the unit's swap",
        "older control groups",
    ],
)
def test_what_is_available_is_the_least_of_all_limits(tmp_path, given, expected):
    assert _memory.available(7, **machine(tmp_path, **given)) == expected * MB


def test_memory_that_processes_share_is_counted_once(tmp_path):
    for pid, kilobytes in ((7, 1000), (8, 500)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "smaps_rollup").write_text(
            f"x [rollup]\nRss: 99999 kB\nPss:  {kilobytes} kB\nPss_Anon: 1 kB\n"
        )
    assert _memory.used([7, 8, 9], proc=str(tmp_path)) == 1500 << 10, "9 has ended"


def test_this_process_uses_memory():
    assert MB < _memory.used([os.getpid()]) < 1 << 40
    assert _memory.available(os.getpid()) > MB


@pytest.mark.parametrize(
    ("uses", "processes", "wanted", "left", "fits"),
    [
        (400, 4, 4, 400, True),
        (400, 4, 4, 330, True),  # a little less may do, as the figures are rough
        (400, 4, 4, 300, False),
        (500, 4, 1, 200, True),
        (500, 4, 9, 700, False),
        (0, 4, 4, 0, True),
    ],
)
def test_what_does_not_fit(uses, processes, wanted, left, fits):
    assert (_memory.shortage(uses * MB, processes, wanted, left * MB) == "") is fits


def test_a_shortage_has_both_figures_and_the_choices():
    said = _memory.shortage(400 * MB, 4, 9, 100 * MB)
    assert (
        "it would need about 800 MB for 9 workers, as the live one uses 400 MB with 4, and 100 MB are available" in said
    )
    for choice in ("processes", "swap", "overlap: false"):
        assert choice in said
