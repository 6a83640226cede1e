# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Which release M(emperor.web.django_rollback) goes back to, what that means for the database, and how it is told."""

from __future__ import annotations

from typing import Any


class RollbackError(Exception):
    """There is no way back to what was asked for."""


def choose(info: dict[str, Any], wanted: str) -> dict[str, Any]:
    """The release to go back to, of what is known of an app.

    One that was live has passed all that a deployment asks of a release; what was refused then must not get live so.
    """
    name, live = info["name"], info["live"]
    if not live:
        raise RollbackError(f"app {name}: no release is live, so there is no way back; deploy it")
    others = [one for one in info["releases"] if one["was_live"] and not one["live"]]
    choice = "; ".join(map(describe, others)) or "none"
    offer = f"choose one of those that were live, with -e release=ID: {choice}"
    if not wanted and not info["previous"]:
        raise RollbackError(f"app {name}: no other release was live before {live}; {offer}")
    found = matching(info["releases"], wanted or info["previous"])
    if not found and not wanted:
        raise RollbackError(f"app {name}: release {info['previous']}, which was live before, has been removed; {offer}")
    if not found:
        raise RollbackError(f"app {name}: there is no release {wanted}; {offer}")
    found = [one for one in found if one["was_live"]] or found
    if len(found) > 1:
        ids = ", ".join(one["release"] for one in found)
        raise RollbackError(f"app {name}: {wanted} may be each of {ids}; give the whole id")
    target = found[0]
    if target["live"]:
        raise RollbackError(f"app {name}: release {target['release']} is live already; {offer}")
    if not target["was_live"]:
        raise RollbackError(
            f"app {name}: release {target['release']} was never live, and a rollback goes only to one that was; to "
            f"have it live, deploy it{with_version(target)}. To go back, {offer}"
        )
    if target["failed"] and not wanted:
        raise RollbackError(
            f"app {name}: release {target['release']}, which was live before, has failed since; {offer}"
        )
    return target


def live_of(info: dict[str, Any]) -> dict[str, Any]:
    """The live release, whose code may have to undo migrations."""
    found = [one for one in info["releases"] if one["live"]]
    if not found:
        raise RollbackError(
            f"app {info['name']}: release {info['live']} is live, and its folder has no release.json; deploy the app"
        )
    return found[0]


def matching(releases: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
    """The release of an id; else those whose id starts so, or that were built from such a version."""
    exact = [one for one in releases if one["release"] == wanted]
    return exact or [one for one in releases if one["version"] == wanted or one["release"].startswith(wanted)]


def with_version(release: dict[str, Any]) -> str:
    """How a release is deployed, where it has a version that the inventory can name."""
    return f" with version: {release['version']} in the inventory" if release["version"] else ""


def describe(release: dict[str, Any]) -> str:
    """A release as a person tells them apart."""
    return f"{titled(release)} of {release['created']}{', failed' if release['failed'] else ''}"


def titled(release: dict[str, Any]) -> str:
    """The id of a release and its version, where it has one."""
    return f"{release['release']} {release['version']}".rstrip()


def unknown(target: dict[str, Any], live: dict[str, Any]) -> list[str]:
    """The migrations that only the live release knows, of what django_migrate has found for both."""
    others = live.get("unknown", [])
    return [name for name in target.get("unknown", []) if name not in others]


def back_to(unknown_names: list[str], before: dict[str, str]) -> dict[str, str]:
    """Where the apps of such migrations have to be, by what was applied last of those that the release knows."""
    apps = dict.fromkeys(name.partition(".")[0] for name in unknown_names)
    return {app: before.get(app, "zero") for app in apps}


def lacking(target: dict[str, Any]) -> list[str]:
    """The migrations that the release has and the database has not."""
    return [f"{one['app']}.{one['name']}" for one in target.get("plan", [])]


def refusal(target: dict[str, Any], names: list[str]) -> str:
    """Why a release that lacks migrations is not gone back to."""
    return (
        f"app {target['app']}: release {target['release']} needs migrations that the database does not have: "
        f"{', '.join(names)}. Deploy it, or apply them on the way with -e rollback_migrations=true"
    )


def summary(target: dict[str, Any], live: dict[str, Any], left: list[str], seconds: float | None) -> list[str]:
    """What is live now, for people, or would be where it took no seconds; the release does not know what is C(left)."""
    again = "would be live again" if seconds is None else f"is live again after {round(seconds, 1)} s"
    lines = [
        f"{target['app']}: release {titled(target)} {again}",
        f"before it was {titled(live)}; the next deploy goes to what the inventory says",
    ]
    if left:
        lines.append(f"WARNING: the database has migrations that this release does not know: {', '.join(left)}")
    return lines
