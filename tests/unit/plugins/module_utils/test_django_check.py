# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What needs no Django; how it works with a real one is tested with real projects."""

from __future__ import annotations

import pytest
from ansible_collections.emperor.web.plugins.module_utils._django_check import checks_level, key_weakness


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (0, "debug"),
        (10, "debug"),
        (20, "info"),
        (25, "info"),
        (30, "warning"),
        (40, "error"),
        (50, "critical"),
        (99, "critical"),
    ],
)
def test_levels_have_names(level, name):
    assert checks_level(level) == name


@pytest.mark.parametrize(
    ("key", "weakness"),
    [
        ("django-insecure-" + "q8w7e6r5t4" * 5, "is the public one that startproject wrote"),
        ("changeme", "has 8 characters, fewer than 20"),
        ("x" * 64, "has 1 different characters, fewer than 5"),
        ("0f1e2d3c4b5a69788796a5b4c3d2e1f0", ""),  # security.W009 warns of it
    ],
)
def test_keys_that_can_be_guessed(key, weakness):
    assert key_weakness(key) == weakness
