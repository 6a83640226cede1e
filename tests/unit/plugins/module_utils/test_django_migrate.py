# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What needs no Django; how it works with a real one is tested with real projects."""

from __future__ import annotations

from types import SimpleNamespace

from ansible_collections.emperor.web.plugins.module_utils._django_migrate import step


def test_a_step_of_a_plan():
    operation = SimpleNamespace(describe=lambda: "Add field slug to article")
    migration = SimpleNamespace(app_label="articles", name="0004_slug", operations=[operation])
    assert step(migration, True) == {
        "app": "articles",
        "name": "0004_slug",
        "backwards": True,
        "operations": ["Add field slug to article"],
    }
