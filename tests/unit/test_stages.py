# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What dev/test.py says of its stages: nothing that did not run may look as if it had."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

DEV = Path(__file__).resolve().parents[2] / "dev"
sys.path.insert(0, str(DEV))
# By its path, because Python has a package test of its own.
spec = importlib.util.spec_from_file_location("stages", DEV / "test.py")
stages = sys.modules["stages"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stages)

# As ansible-playbook writes it.
LEFT_OUT = r"""
TASK [Tell which versions are left out] ****************************************
ok: [localhost] => (item=6.0) => {
    "msg": "Django 6.0 is left out: it needs Python 3.12, this is 3.11"
}

TASK [/x/targets/real_projects : Tell what is left out] ************************
ok: [real_projects, pretalx] => {
    "msg": "pretalx is left out: it needs Python 3.13, this is 3.11"
}
skipping: [real_projects, wagtail]

TASK [/x/targets/django_check : Tell why most tests of the option user are left out] ***
ok: [django_check, Django 4.2] => {
    "msg": "Most tests of the option user are left out: the module has to run as \"root\" for them"
}
ok: [django_check, Django 5.2] => {
    "msg": "Most tests of the option user are left out: the module has to run as \"root\" for them"
}
"""
RECAP = """
PLAY RECAP *********************************************************************
django_check, Django 4.2   : ok=63   changed=13   unreachable=0    failed=0    skipped=6    rescued=0    ignored=0
django_check, Django 5.2   : ok=65   changed=13   unreachable=0    failed=0    skipped=6    rescued=0    ignored=0
localhost                  : ok=11   changed=3    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
real_projects, pretalx     : ok=7    changed=2    unreachable=0    failed=0    skipped=12   rescued=0    ignored=0
real_projects, wagtail     : ok=19   changed=8    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0
"""


# What its schema allows.
WORKFLOW = """
name: Broken
on: push
jobs:
  one:
    runs-on: ubuntu-24.04
    steps:
      - run: echo ${{ steps.nowhere.outputs.word }}
      - run: test $HOME = here
"""


def test_a_broken_workflow_fails(tmp_path):
    """By actionlint, and by shellcheck, without which actionlint would say nothing of a script."""
    workflow = tmp_path / "broken.yml"
    workflow.write_text(WORKFLOW)
    with pytest.raises(stages.Failed) as failure:
        stages.check_workflows(stages.Run(tools=Path(sys.prefix)), workflow)
    assert 'property "nowhere" is not defined' in str(failure.value)
    assert "SC2086" in str(failure.value)


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        (RECAP, ("2 targets, on Django 4.2, 5.2, and pretalx wagtail", {})),
        (
            LEFT_OUT + RECAP,
            (
                "2 targets, on Django 4.2, 5.2, and wagtail",
                {
                    "Django 6.0": "it needs Python 3.12, this is 3.11",
                    "pretalx": "it needs Python 3.13, this is 3.11",
                    "Most tests of the option user": 'the module has to run as "root" for them',
                },
            ),
        ),
        (
            LEFT_OUT.replace("pretalx", "wagtail") + RECAP.replace("pretalx", "wagtail"),
            (
                "2 targets, on Django 4.2, 5.2, and no real project",
                {
                    "Django 6.0": "it needs Python 3.12, this is 3.11",
                    "wagtail": "it needs Python 3.13, this is 3.11",
                    "Most tests of the option user": 'the module has to run as "root" for them',
                },
            ),
        ),
    ],
)
def test_integration_tells_what_ran_and_what_was_left_out(out, expected):
    assert stages.integrated(out) == expected


def test_integration_records_what_was_left_out(monkeypatch):
    run = stages.Run()
    monkeypatch.setattr(stages, "have_databases", lambda _run: None)
    monkeypatch.setattr(stages, "call", lambda *_arguments, **_options: LEFT_OUT + RECAP)
    assert stages.integration(run) == "2 targets, on Django 4.2, 5.2, and wagtail"
    assert ("integration pretalx", "skipped", 0, "it needs Python 3.13, this is 3.11") in run.results
    assert len(run.results) == 3


def test_all_that_says_it_is_left_out_is_found():
    """Each message of the targets has the form that is looked for, in one line of Ansible's output."""
    texts = [
        line.strip()
        for path in sorted((DEV.parent / "tests/integration").rglob("*.yml"))
        for line in path.read_text().splitlines()
        if "left out" in line and "msg:" in line
    ]
    assert len(texts) == 5
    for text in texts:
        message = text.removeprefix("msg: ").strip('"')
        _what, missing = stages.integrated(f'    "msg": "{message}"\n')
        assert len(missing) == 1, text


@pytest.mark.parametrize(("newer", "lacking"), [(None, ["newest"]), ("python3.13", []), ("python3.11", ["oldest"])])
def test_a_core_that_cannot_be_had_is_told(monkeypatch, newer, lacking):
    run = stages.Run()
    monkeypatch.setattr(stages.lab, "virtualenv", lambda python="python3.11": Path(python))
    monkeypatch.setattr(stages.lab, "newer_python", lambda: newer)
    monkeypatch.setattr(stages, "call", lambda *_arguments, tools, **_options: f"ansible-playbook [core {tools.name}]")
    stages.tools(run)
    expected = [(f"tools {which} ansible-core", "skipped") for which in lacking]
    assert [result[:2] for result in run.results] == expected


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("===== 22 passed in 3.10s =====", "22 passed"),
        ("\x1b[32m== \x1b[1m22 passed\x1b[0m, \x1b[33m1 skipped\x1b[0m in 3.10s ==", "22 passed, 1 skipped"),
        ("server : ok=41 changed=9 skipped=12\n===== 3 passed, 2 deselected in 1s =====", "3 passed"),
        ("===== 1 passed, 2 skipped in 1s =====\n===== 2 passed, 1 skipped in 1s =====", "3 passed, 3 skipped"),
    ],
)
def test_outcome_of_a_scenario(out, told):
    assert stages.outcome(out) == told


@pytest.mark.parametrize("out", ["", "===== no tests ran in 0.01s =====", "===== 2 skipped in 0.01s ====="])
def test_scenario_in_which_nothing_passed_has_failed(out):
    with pytest.raises(stages.Failed, match="no test ran"):
        stages.outcome(out)
