# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: _django_rollback
short_description: B(Internal) filter that chooses the release to go back to
version_added: 0.1.0
description:
  - B(This is an internal tool and must only be used from within this collection.)
  - Refuses a release that is not there, is live already, was never live, or has failed, with those that can be chosen.
  - One that was live has passed all that a deployment asks of a release; what was refused then must not get live so.
author:
  - The emperor.web authors (@emperor-web)
options:
  _input:
    description: One entry of RV(emperor.web.django_release_info#module:apps).
    type: dict
    required: true
  release:
    description: Id of the release, its start, or its version; the one that was live before unless given.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show which release was live before
  ansible.builtin.debug:
    msg: "{{ (info.apps[0] | emperor.web._django_rollback('')).release }}"
"""

RETURN = r"""
_value:
  description: An entry of C(releases).
  type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError


def django_rollback(info: dict[str, Any], release: str) -> dict[str, Any]:
    """The release to go back to."""
    name, live, wanted = info["name"], info["live"], str(release or "")
    if not live:
        raise AnsibleFilterError(f"app {name}: no release is live, so there is no way back; deploy it")
    others = [one for one in info["releases"] if one["was_live"] and not one["live"]]
    choice = "; ".join(map(describe, others)) or "none"
    offer = f"choose one of those that were live, with -e release=ID: {choice}"
    if not wanted and not info["previous"]:
        raise AnsibleFilterError(f"app {name}: no other release was live before {live}; {offer}")
    found = matching(info["releases"], wanted or info["previous"])
    if not found and not wanted:
        raise AnsibleFilterError(
            f"app {name}: release {info['previous']}, which was live before, has been removed; {offer}"
        )
    if not found:
        raise AnsibleFilterError(f"app {name}: there is no release {wanted}; {offer}")
    found = [one for one in found if one["was_live"]] or found
    if len(found) > 1:
        ids = ", ".join(one["release"] for one in found)
        raise AnsibleFilterError(f"app {name}: {wanted} may be each of {ids}; give the whole id")
    target = found[0]
    if target["live"]:
        raise AnsibleFilterError(f"app {name}: release {target['release']} is live already; {offer}")
    if not target["was_live"]:
        raise AnsibleFilterError(
            f"app {name}: release {target['release']} was never live, and a rollback goes only to one that was; to "
            f"have it live, deploy it{with_version(target)}. To go back, {offer}"
        )
    if target["failed"] and not wanted:
        raise AnsibleFilterError(
            f"app {name}: release {target['release']}, which was live before, has failed since; {offer}"
        )
    return target


def matching(releases: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
    """The release of an id; else those whose id starts so, or that were built from such a version."""
    exact = [one for one in releases if one["release"] == wanted]
    return exact or [one for one in releases if one["version"] == wanted or one["release"].startswith(wanted)]


def with_version(release: dict[str, Any]) -> str:
    """How a release is deployed, where it has a version that the inventory can name."""
    return f" with version: {release['version']} in the inventory" if release["version"] else ""


def describe(release: dict[str, Any]) -> str:
    """A release as a person tells them apart."""
    version = f" {release['version']}" if release["version"] else ""
    return f"{release['release']}{version} of {release['created']}{', failed' if release['failed'] else ''}"


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"_django_rollback": django_rollback}
