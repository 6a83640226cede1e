# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
FILTERS = {path.stem for path in (ROOT / "plugins" / "filter").glob("*.py")}
# What Ansible does in its own process before it forks a worker for the task.
LOAD = """
import sys
from ansible.plugins.loader import action_loader, init_plugin_loader
init_plugin_loader([])
action_loader.get(sys.argv[1], class_only=True)
print(*(name.split(".")[-1] for name in sys.modules if ".emperor.web.plugins.filter." in name))
"""


@pytest.mark.parametrize("action", ["host_info", "steps", "uwsgi_vassal"])
def test_filters_are_there_before_the_first_worker(action):
    environment = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections")}
    command = [sys.executable, "-c", LOAD, f"emperor.web.{action}"]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=True)
    assert set(done.stdout.split()) >= FILTERS
