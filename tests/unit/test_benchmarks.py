# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What benchmarks/many and benchmarks/serve say of their figures, and what the compared sides run with."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    """A benchmark; all of them are called run.py."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / name / "run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for theirs there
    spec.loader.exec_module(module)
    return module


many = load("many")


def sample(apps: int, asleep: float, second_run: float) -> dict:
    return {"apps": apps, "asleep": [asleep], "awake": [40.0], "first page": [0.5], "second run": [second_run]}


@pytest.mark.parametrize(
    ("asleep", "seconds", "said"),
    [
        ((1.0, 1.0, 1.0), (10, 14.5, 34), "at most 10 MB asleep, met. At most 0.5 s per added app, met."),
        ((1.0, 1.0, 1.0), (10, 15.4, 34), "asleep, met. At most 0.5 s per added app, not met with 10 apps."),
        ((11.0, 12.0, 1.0), (10, 20, 60), "asleep, not met with 1 and 10 apps. At most 0.5 s per added app, not met"),
    ],
)  # fmt: skip
def test_each_number_of_apps_has_to_meet_the_goals(asleep, seconds, said):
    rows = many.evaluate([sample(*row) for row in zip((1, 10, 50), asleep, seconds, strict=True)])
    assert said in many.table(rows)


UNIT = """# /etc/systemd/system/uwsgi-emperor@.service
[Unit]
After=network.target
[Service]
Type=notify
# A comment=with this.
User=%i
ExecStart=/usr/bin/uwsgi --emperor "/etc/uwsgi/emperor/%i/*.ini" \\
  --option=value
RestartSec=100ms
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
[Install]
WantedBy=multi-user.target

# /etc/systemd/system/uwsgi-emperor@bench.service.d/django.conf
[Service]
ReadWritePaths=-/srv/django/%i/shared
"""


def test_what_the_sites_unit_may_is_what_the_others_may():
    assert load("serve").hardening(UNIT) == [
        "User=bench",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
        "ReadWritePaths=-/srv/django/bench/shared",
    ]
