# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import platform

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _module_host_info as host_info


@pytest.mark.parametrize(
    ("said", "version"),
    [({"ID": "ubuntu", "NAME": "Ubuntu", "VERSION_ID": "24.04"}, "24.04"), ({"ID": "debian", "NAME": "Debian"}, "")],
)
def test_a_system_that_says_what_it_is(monkeypatch, said, version):
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: said)
    assert host_info.system() == {"id": said["ID"], "name": said["NAME"], "version": version}


def test_a_system_that_does_not(monkeypatch):
    def fail():
        raise FileNotFoundError("/etc/os-release")

    monkeypatch.setattr(platform, "freedesktop_os_release", fail)
    assert host_info.system() == {"id": "linux", "name": "Linux", "version": ""}


def test_only_whole_packages_count_and_each_once():
    listing = "installed zlib1g\nconfig-files nginx\ninstalled libc6\ninstalled libc6\nhalf-installed git\n"
    assert host_info.installed(listing) == ["libc6", "zlib1g"]


def test_no_package_manager(run_module, monkeypatch):
    monkeypatch.setattr(host_info.shutil, "which", lambda _name: None)
    result = run_module(host_info, {})
    assert result["changed"] is False
    assert result["packages"] == []


def test_a_package_manager_that_fails(run_module, monkeypatch):
    monkeypatch.setattr(host_info, "QUESTION", ["sh", "-c", "echo broken >&2; exit 2"])
    result = run_module(host_info, {})
    assert result["failed"]
    assert result["msg"] == "dpkg-query cannot list the packages: broken"
