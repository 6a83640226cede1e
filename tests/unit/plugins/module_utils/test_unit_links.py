# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _unit_links

UNIT = "uwsgi-emperor@shop.service"


@pytest.fixture
def links(monkeypatch, tmp_path):
    """The real functions, for a folder of units."""
    importlib.reload(_unit_links)
    monkeypatch.setattr(_unit_links, "FOLDER", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("folder", ["multi-user.target.wants", "other.target.requires"])
def test_a_unit_is_enabled_as_long_as_its_link_is_there(links, folder):
    (links / folder).mkdir()
    (links / folder / UNIT).symlink_to("/etc/systemd/system/uwsgi-emperor@.service")
    state = {"ActiveState": "active", "UnitFileState": "enabled"}
    assert _unit_links.as_on_disk(UNIT, state) == state
    assert _unit_links.as_on_disk("uwsgi-emperor@blog.service", state) == state | {"UnitFileState": "disabled"}
    (links / folder / UNIT).unlink()
    assert _unit_links.as_on_disk(UNIT, state) == state | {"UnitFileState": "disabled"}


@pytest.mark.parametrize("told", ["static", "disabled", ""])
def test_what_needs_no_link_is_as_systemd_says(links, told):
    assert _unit_links.as_on_disk(UNIT, {"UnitFileState": told}) == {"UnitFileState": told}
