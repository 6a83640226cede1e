# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _journal
from ansible_collections.emperor.web.plugins.module_utils._process import Result


@pytest.fixture
def journal(monkeypatch):
    """A journal whose last lines are not to be read before it was told to write them down."""
    found = SimpleNamespace(text="", synced=False, argv=[])

    def run(argv, **_options):
        found.argv = argv
        if argv[1:] == ["--sync"]:
            found.synced = True
            return Result(argv, 0, "", "")
        return Result(argv, 0, found.text if found.synced else "", "")

    monkeypatch.setattr(_journal, "run", run)
    return found


def test_all_lines_are_told_and_only_those_since_the_time(journal):
    journal.text = "\n" + "".join(f"line {number}\n" for number in range(500)) + "\n  \n"
    assert _journal.lines_since(1000.25, "--unit=nginx") == [f"line {number}" for number in range(500)]
    assert {"--unit=nginx", "--since=@1000.250"} <= set(journal.argv)
    assert not any(word.startswith(("--lines", "-n")) for word in journal.argv), "systemd 252 takes the first ones"


def test_who_wrote_nothing_has_no_lines(journal):
    assert _journal.lines_since(1000.0, "_SYSTEMD_UNIT=django@shop:worker.service") == []


def test_a_host_without_a_journal_has_no_lines(monkeypatch):
    monkeypatch.setattr(_journal, "run", lambda argv, **_options: Result(argv, 127, "", "journalctl does not exist"))
    assert _journal.lines_since(1000.0, "--unit=nginx") == []
