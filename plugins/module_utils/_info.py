# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What is live of an app, what was before it, and what could be again; asked without changing anything."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timezone
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils import _processes, _sleep, _uwsgi
from ansible_collections.emperor.web.plugins.module_utils._files import read_text
from ansible_collections.emperor.web.plugins.module_utils._process_units import Units
from ansible_collections.emperor.web.plugins.module_utils._release import Layout, Manifest


class AppInfo:
    """One app of a host."""

    def __init__(self, name: str, root: str, run_directory: str) -> None:
        self.name = name
        self.layout = Layout(os.path.join(root, name))
        self.run_directory = os.path.join(run_directory, name)
        self.history = read_history(self.layout.log)

    def report(self, entries: int, question: dict[str, Any] | None) -> dict[str, Any]:
        """All of it."""
        live = self.layout.live() or ""
        manifest = self.layout.manifest(live) if live else None
        went_live = last_live(self.history, live)
        asleep = bool(live) and _sleep.is_asleep(self.run_directory)
        asked = question if live and not asleep else None  # which would wake it
        return {
            **choices(self.name, self.layout, self.history),
            "root": self.layout.root,
            "revision": manifest.revision if manifest else "",
            "version": manifest.version if manifest else "",
            "since": moment(went_live["time"]) if went_live else "",
            "by": went_live.get("by", "") if went_live else "",
            "migrations": went_live.get("migrations", []) if went_live else [],
            "asleep": asleep,
            "maintenance": os.path.exists(self.layout.maintenance),
            "lock": self._lock(),
            "vassals": self.vassals(),
            "history": [entry | {"time": moment(entry["time"])} for entry in self.history[-entries:]]
            if entries
            else [],
            **_processes.report(Units(self.name, self.layout.root)),
            "health": ask(asked, os.path.join(self.run_directory, f"{live}.sock")) if asked else {},
        }

    def _lock(self) -> dict[str, Any]:
        """What the deploy that runs wrote about itself."""
        text = read_text(self.layout.lock)
        if not text:
            return {}
        try:
            found = json.loads(text)
        except ValueError:
            return {"text": text.strip()}
        return found if isinstance(found, dict) else {"text": text.strip()}

    def vassals(self) -> list[dict[str, Any]]:
        """The vassals that the app's Emperor runs, and what each says about its workers."""
        stats = _uwsgi.read_stats(os.path.join(self.run_directory, "emperor.stats")) or {}
        return [self._vassal(entry) for entry in stats.get("vassals", [])]

    def _vassal(self, entry: dict[str, Any]) -> dict[str, Any]:
        release = os.path.basename(entry.get("id", "")).removesuffix(".ini")
        stats = _uwsgi.read_stats(os.path.join(self.run_directory, f"{release}.stats")) or {}
        states = [worker.get("status", "") for worker in stats.get("workers", [])]
        return {
            "release": release,
            "answers": bool(stats),
            "pid": entry.get("pid", 0),
            "respawns": entry.get("respawns", 0),
            "workers": len([state for state in states if state != "cheap"]),
            "busy": states.count("busy"),
            "paused": "pause" in states,
            "waiting": stats.get("listen_queue", 0),
        }


def read_history(path: str) -> list[dict[str, Any]]:
    """The entries of an app's history, oldest first; a line that the machine stopped in is left out."""
    entries = []
    for line in (read_text(path) or "").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and {"time", "release", "result"} <= entry.keys():
            entries.append(entry)
    return entries


def choices(name: str, layout: Layout, history: list[dict[str, Any]]) -> dict[str, Any]:
    """The finished releases of an app, newest first, with that which is live and the one that was before it."""
    live = layout.live() or ""
    return {
        "name": name,
        "live": live,
        "previous": release_before(history, live),
        "releases": [release(name, layout, found, history, live) for found in reversed(layout.finished())],
    }


def release(name: str, layout: Layout, manifest: Manifest, history: list[dict[str, Any]], live: str) -> dict[str, Any]:
    """A finished release, with the options that other modules want for it."""
    folder = layout.release(manifest.id)
    return {
        "app": name,
        "release": manifest.id,
        "live": manifest.id == live,
        "was_live": bool(last_live(history, manifest.id)),
        "failed": manifest.id != live and os.path.exists(layout.failure(manifest.id)),
        "revision": manifest.revision,
        "version": manifest.version,
        "created": moment(manifest.created),
        "path": folder,
        "project": os.path.normpath(os.path.join(folder, "src", manifest.project)),
        "virtualenv": os.path.join(folder, "venv"),
        "environment_file": os.path.join(folder, "env"),
        "settings": manifest.settings,
        "wsgi": manifest.wsgi,
    }


def last_live(history: list[dict[str, Any]], release: str, other_before: bool = False) -> dict[str, Any] | None:
    """The entry of when a release went live last; or when it last followed another one."""
    for entry in reversed(history):
        counts = not other_before or entry.get("previous") not in ("", None, release)
        if entry["release"] == release and entry["result"] == "live" and counts:
            return entry
    return None


def release_before(history: list[dict[str, Any]], release: str) -> str:
    """The release that was live before a release went live, empty where none was."""
    entry = last_live(history, release, other_before=True)
    return entry["previous"] if entry else ""


def moment(seconds: float) -> str:
    """A time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def ask(question: dict[str, Any], address: str) -> dict[str, Any]:
    """Ask the app behind a socket as a deploy does, and say what it answered."""
    began = time.monotonic()
    try:
        answer = _uwsgi.get(
            question["path"],
            address=address,
            host=question["host"],
            script_name=question["script_name"],
            https=question["https"],
            timeout=question["timeout"],
        )
    except (OSError, _uwsgi.UwsgiError) as error:
        status, problem = 0, str(error) or type(error).__name__
    else:
        status = answer.status
        problem = "" if status in question["status"] else f"{question['path']} answers {status}"
    seconds = round(time.monotonic() - began, 3)
    return {"healthy": not problem, "status": status, "problem": problem, "seconds": seconds}
