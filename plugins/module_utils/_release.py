# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The folders of an app on a host, and the record that each finished release carries."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils._files import read_text, write_atomic

# The programs of the collection on a host; the role uwsgi installs those that have a name here.
PROGRAMS = "/usr/local/lib/emperor"
LAUNCHER = f"{PROGRAMS}/run.py"
LIVE_ONLY = f"{PROGRAMS}/live_only.py"


@dataclass(frozen=True)
class Layout:
    """Where the parts of one app are."""

    root: str

    @property
    def mirror(self) -> str:
        return os.path.join(self.root, "repo.git")

    @property
    def venvs(self) -> str:
        return os.path.join(self.root, "venvs")

    @property
    def releases(self) -> str:
        return os.path.join(self.root, "releases")

    @property
    def current(self) -> str:
        return os.path.join(self.root, "current")

    @property
    def shared(self) -> str:
        return os.path.join(self.root, "shared")

    @property
    def static(self) -> str:
        return os.path.join(self.root, "static")

    @property
    def secret_key(self) -> str:
        return os.path.join(self.root, "secret_key")

    @property
    def log(self) -> str:
        return os.path.join(self.root, "releases.jsonl")

    @property
    def lock(self) -> str:
        return os.path.join(self.root, "deploy.lock")

    @property
    def maintenance(self) -> str:
        """While this file is there, Nginx keeps visitors away from the app."""
        return os.path.join(self.root, "maintenance")

    def release(self, name: str) -> str:
        return os.path.join(self.releases, name)

    def live(self) -> str | None:
        """The id of the release that C(current) names."""
        try:
            return os.path.basename(os.readlink(self.current))
        except OSError:
            return None

    def manifest(self, name: str) -> Manifest | None:
        """The record of a release, or None where it is not there or was never finished."""
        text = read_text(os.path.join(self.release(name), "release.json"))
        return Manifest(**json.loads(text)) if text else None

    def finished(self) -> list[Manifest]:
        """All finished releases, oldest first."""
        names = os.listdir(self.releases) if os.path.isdir(self.releases) else []
        found = [manifest for name in names if (manifest := self.manifest(name))]
        return sorted(found, key=lambda manifest: manifest.created)

    def last_live(self, count: int | None = None) -> list[str]:
        """The ids of the releases that were live last, so many or all, newest first, by the app's history."""
        lines = (read_text(self.log) or "").splitlines()
        found: list[str] = []
        for line in reversed(lines):
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the machine stopped while it was written
            if entry.get("result") == "live" and entry["release"] not in found:
                found.append(entry["release"])
            if len(found) == count:
                break
        return found

    def last_good(self) -> str:
        """The release besides the live one that was live last, is there and has not failed since; empty for none."""
        there, live = {manifest.id for manifest in self.finished()}, self.live()
        good = (name for name in self.last_live() if name in there and not os.path.exists(self.failure(name)))
        return next((name for name in good if name != live), "")

    def failure(self, name: str) -> str:
        """The file that marks a release which did not become live, and says why."""
        return os.path.join(self.release(name), "failed.json")

    def pending(self, name: str) -> str:
        """The file that a release has until it is deployed to the end, with what the run has done to the database."""
        return os.path.join(self.release(name), "pending")

    def record(self, entry: dict[str, Any]) -> None:
        """Add one line to the app's history."""
        before = read_text(self.log) or "\n"
        # The machine may have stopped in the middle of a line.
        line = ("" if before.endswith("\n") else "\n") + json.dumps(entry, sort_keys=True) + "\n"
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640), "a", encoding="utf-8") as handle:
            handle.write(line)


@dataclass(frozen=True)
class Manifest:
    """What a release is made of; C(release.json), written last, so that it marks the release as finished."""

    id: str
    app: str
    revision: str
    version: str
    source: str
    project: str
    settings: str
    wsgi: str
    requirements: str
    python: str
    venv: str
    created: float
    uwsgi: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: str) -> None:
        write_atomic(os.path.join(folder, "release.json"), json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")


def release_of(environment_file: str | None) -> tuple[Layout, str] | None:
    """The app and the release that a file of an environment belongs to, None where it is none of a release."""
    releases, release = os.path.split(os.path.dirname(environment_file or ""))
    root, folder = os.path.split(releases)
    return (Layout(root), release) if folder == "releases" else None


def migration_names(done: list[dict[str, Any]]) -> list[str]:
    """What M(emperor.web.django_migrate) has done to a database, as the app's history has it."""
    return [f"{one['app']}.{one['name']}{' (undone)' if one.get('backwards') else ''}" for one in done]


def project_of(release: dict[str, Any]) -> dict[str, Any]:
    """Where the Django of a release is, as its modules take it, of what a module has returned of the release."""
    known = ("project", "settings", "virtualenv", "environment_file")
    return {name: release[name] for name in known} | {"user": release["app"]}


def release_id(revision: str, identity: dict[str, Any]) -> str:
    """The name of a release: start of its revision, and a digest of everything that it is made of.

    The environment takes part in the digest. A short secret could be guessed from a digest if all else were
    known; the secret key of Django, long and random, is in it too and prevents that.
    """
    content = json.dumps([revision, identity], sort_keys=True, ensure_ascii=False)
    return f"{revision[:8]}-{hashlib.sha256(content.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
