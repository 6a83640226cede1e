# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The callback that compares returned values with their samples sees what differs, in a run of Ansible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from documented import unlike_documented

ROOT = Path(__file__).resolve().parents[2]
PLAN = {"app": "shop", "name": "0002_more", "backwards": False, "reversible": True, "operations": ["Add field x"]}


@pytest.mark.parametrize(
    ("module", "result", "differences"),
    [
        ("uwsgi_pause", {"release": "1-2", "changed": True}, []),
        ("uwsgi_pause", {"release": 1}, ["release is of type int, its sample of str"]),
        ("uwsgi_pause", {"seconds": 1}, ["seconds is not documented"]),
        ("django_migrate", {"plan": [PLAN]}, []),
        ("django_migrate", {"plan": []}, []),
        ("django_migrate", {"plan": [PLAN, PLAN | {"sql": []}]}, ["plan[].sql is not documented"]),
        ("django_migrate", {"plan": [{}]}, []),
        ("django_migrate", {"before": {"shop": "zero"}}, []),
        ("django_migrate", {"before": {"shop": None, "blog": 1}}, ["before.blog is of type int, its sample of str"]),
        ("host_info", {"system": {"id": "x", "name": "x"}}, ["system.version is documented, and not returned"]),
        ("uwsgi_vassal", {"seconds": {"start": 1.0}}, []),
        ("uwsgi_vassal", {"seconds": {"wait": 1.0}}, ["seconds.wait is not documented"]),
    ],
)
def test_what_differs_is_told(module, result, differences):
    assert unlike_documented(module, result) == differences


def test_results_of_a_run_are_compared(tmp_path):
    """With a callback that takes other samples for the module's."""
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": [{"emperor.web.host_info": {}}]}]
    (tmp_path / "play.json").write_text(json.dumps(play))
    callbacks = tmp_path / "callbacks"
    callbacks.mkdir()
    text = (ROOT / "tests/callbacks/documented.py").read_text()
    (callbacks / "documented.py").write_text(
        text.replace("yaml.safe_load(found.RETURN)", "{'packages': {'sample': 1}}")
    )
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks/collections"),
        "ANSIBLE_CALLBACK_PLUGINS": str(callbacks),
        "ANSIBLE_CALLBACKS_ENABLED": "documented",
        "EMPEROR_UNLIKE_DOCUMENTED": str(tmp_path / "found"),
    }
    program = Path(sys.executable).parent / "ansible-playbook"
    options = ["-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
    subprocess.run([program, *options, tmp_path / "play.json"], env=environment, check=True)
    assert (tmp_path / "found").read_text().splitlines() == [
        "host_info: packages is of type list, its sample of int",
        "host_info: system is not documented",
        "host_info: systemd is not documented",
    ]
