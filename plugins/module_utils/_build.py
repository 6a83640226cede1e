# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Build one release of an app."""

from __future__ import annotations

import grp
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ansible_collections.emperor.web.plugins.module_utils import _git, _project, _room, _source, _virtualenv
from ansible_collections.emperor.web.plugins.module_utils._files import (
    ensure_directory,
    read_text,
    replace_link,
    write_atomic,
)
from ansible_collections.emperor.web.plugins.module_utils._http import open_url
from ansible_collections.emperor.web.plugins.module_utils._linked_folders import share, shared_problem
from ansible_collections.emperor.web.plugins.module_utils._lock import step_variable
from ansible_collections.emperor.web.plugins.module_utils._process import UserError, account, run
from ansible_collections.emperor.web.plugins.module_utils._release import PROGRAMS, Layout, Manifest, release_id
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError
from ansible_collections.emperor.web.plugins.module_utils._uwsgi import VASSAL_FORMAT
from ansible_collections.emperor.web.plugins.module_utils._uwsgi_host import check_listen, served_python, settings_here

SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
DONE = ".emperor.json"


class WantsArchive(Exception):
    """The release has to be built from sources that are still on the controller."""


@dataclass
class Builder:
    """One app's release as the options of C(django_release) describe it."""

    options: dict[str, Any]
    environment: dict[str, str]
    check_mode: bool

    @cached_property
    def layout(self) -> Layout:
        return Layout(self.options["root"] or f"/srv/django/{self.options['name']}")

    @cached_property
    def network(self) -> dict[str, str]:
        variables = _virtualenv.network_environment(self.options["index_url"], self.authorities, self.options["proxy"])
        return variables | step_variable(self.layout.root)

    @cached_property
    def authorities(self) -> str:
        """A file of all certificate authorities to trust; it lives as long as this object."""
        if not self.options["ca_certificates"]:
            return SYSTEM_AUTHORITIES
        # Kept open: closing it removes the file.
        self._bundle = tempfile.NamedTemporaryFile("w", prefix="emperor-ca-", suffix=".pem")  # noqa: SIM115
        self._bundle.write((read_text(SYSTEM_AUTHORITIES) or "") + self.options["ca_certificates"])
        self._bundle.flush()
        os.chmod(self._bundle.name, 0o644)  # read by the app's user while packages are installed
        return self._bundle.name

    @cached_property
    def access(self) -> _git.Access:
        source, login = self.options["source"], self.options["login"]
        return _git.Access(
            url=source.replace("://", f"://{login}@", 1) if login else source,
            deploy_key=self.options["deploy_key"],
            known_hosts=self.options["known_hosts"],
            known_hosts_file=os.path.join(self.layout.root, "known_hosts"),
            read_only=self.check_mode or self.options["state"] == "resolved",
            environment=self.network,
            timeout=self.options["timeout"],
        )

    @cached_property
    def uwsgi(self) -> dict[str, Any]:
        """The options of uWSGI, with those that follow from the host; what it does not have is refused."""
        return settings_here(self.options["uwsgi"])

    # What the options mean, without changing anything.

    def check(self) -> None:
        """Refuse what cannot work, before anything is changed."""
        for home in ("/home/", "/root/"):
            if self.layout.root.startswith(home):
                raise SourceError(
                    f"root {self.layout.root} is below {home}, where the web server cannot enter; "
                    f"use a folder such as /srv/django/{self.options['name']}"
                )
        if problem := shared_problem(self.options["shared_folders"]):
            raise SourceError(problem)
        check_listen(self.uwsgi, final=self.options["state"] == "present" and not self.check_mode)
        wanted, has = self.options["python_version"], _virtualenv.python_version(self.options["python"])
        if wanted and has != ".".join(wanted.split(".")[:2]):
            raise SourceError(self._other_python(f"python_version {wanted}", has))
        served = served_python()
        if served and served != has:
            raise SourceError(self._other_python(f"python {self.options['python']} ({has})", served))

    def _other_python(self, wanted: str, has: str) -> str:
        return (
            f"app {self.options['name']} wants {wanted}, but uWSGI of this distribution runs Python {has} only; "
            f"make the app work with {has}, or choose a release of Ubuntu that has its Python"
        )

    def revision(self) -> str:
        """The commit, or the digest of an archive's content."""
        if self.options["revision"]:
            return self.options["revision"]
        if _source.kind(self.options["source"]) == "git":
            return _git.resolve(self.access, self.options["version"], self.layout.mirror)
        with self._archive() as archive:
            return _source.file_digest(archive).hexdigest()

    def identity(self, key: str) -> dict[str, Any]:
        """Everything but the revision that makes one release different from another."""
        names = [
            "name",
            "project",
            "settings",
            "wsgi",
            "requirements",
            "extras",
            "groups",
            "installer",
            "shared_folders",
        ]
        return {name: self.options[name] for name in names} | {
            "uwsgi": self.uwsgi,
            "format": VASSAL_FORMAT,
            "python": _virtualenv.python_version(self.options["python"]),
            "environment": self._configuration(key),
        }

    def _configuration(self, key: str) -> dict[str, str]:
        return {name: key for name in self.options["secret_key_names"]} | self.environment

    def secret_key(self) -> str:
        """The key of this app on this host; made once."""
        if self.check_mode or all(name in self.environment for name in self.options["secret_key_names"]):
            return (read_text(self.layout.secret_key) or "").strip()
        key = (read_text(self.layout.secret_key) or "").strip()
        if not key:
            key = secrets.token_urlsafe(50)
            write_atomic(self.layout.secret_key, key + "\n", mode=0o600, uid=0, gid=0)
        return key

    # Building.

    def unknown(self) -> dict[str, Any]:
        """What check mode reports on a host that cannot ask the source yet."""
        return self._report("unknown", "", None) | {"changed": True}

    def present(self) -> dict[str, Any]:
        """Have the release built; returns what the module reports. For whoever has called C(check) and has the lock."""
        revision = self.revision()
        changed = self._folders()
        key = self.secret_key()
        release = release_id(revision, self.identity(key))
        manifest = self.layout.manifest(release)
        if manifest and os.path.exists(os.path.join(manifest.venv, DONE)):
            repaired = self._complete(manifest, key)
            return self._report(release, revision, manifest) | {"changed": changed or repaired}
        if not self.check_mode:
            _room.require_for_sources(self.layout, release)
            if _source.kind(self.options["source"]) == "path" and not self.options["archive"]:
                raise WantsArchive
            manifest = self._build(release, revision, key)
        return self._report(release, revision, manifest) | {"changed": True}

    def _report(self, release: str, revision: str, manifest: Manifest | None) -> dict[str, Any]:
        path = self.layout.release(release)
        report = {
            "release": release,
            "revision": revision,
            "live": self.layout.live() or "",
            "path": path,
            "virtualenv": os.path.join(path, "venv"),
            "environment_file": os.path.join(path, "env"),
            "pending": self._pending(release),
        }
        if not manifest:  # check mode: what the sources will show is not known yet
            return report | {"project": os.path.join(path, "src"), "settings": "", "wsgi": ""}
        project = os.path.normpath(os.path.join(path, "src", manifest.project))
        return report | {"project": project, "settings": manifest.settings, "wsgi": manifest.wsgi}

    def _pending(self, release: str) -> bool:
        """Whether this release has yet to be deployed to the end, which C(pruned) notes; also after a run that died."""
        marker = self.layout.pending(release)
        if self.layout.live() == release:
            return os.path.exists(marker)
        if not self.check_mode and not os.path.exists(marker):
            write_atomic(marker, "")
        return True

    def _folders(self) -> bool:
        try:
            user = account(self.options["name"])
            web = grp.getgrnam(self.options["web_group"]).gr_gid
        except (UserError, KeyError) as error:
            if self.check_mode:
                return True
            raise UserError(f"{error}; the app's user and the web server's group have to exist first") from None
        mine = {"uid": user.pw_uid, "gid": user.pw_gid}
        # What holds secrets or data can be passed through by the web server, but not listed or read.
        wanted = {
            self.layout.root: {"mode": 0o755},
            self.layout.releases: {"mode": 0o755},
            self.layout.venvs: {"mode": 0o755},
            self.layout.static: {"mode": 0o755},
            self._cache: {"mode": 0o700, **mine},
            self.layout.shared: {"mode": 0o711, **mine},
        }
        # The setgid bit gives the app's files to the web server's group, which may read them.
        for name in ("media", "protected"):
            wanted[os.path.join(self.layout.shared, name)] = {"mode": 0o2750, "uid": user.pw_uid, "gid": web}
        changed = [ensure_directory(path, dry_run=self.check_mode, **how) for path, how in wanted.items()]
        return any(changed)

    @property
    def _cache(self) -> str:
        return os.path.join(self.layout.root, "cache")

    def _build(self, release: str, revision: str, key: str) -> Manifest:
        folder = self.layout.release(release)
        shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left, it has no manifest
        os.makedirs(folder)
        try:
            sources = os.path.join(folder, "src")
            os.mkdir(sources)
            self._export(revision, sources)
            project = _project.find(sources, *(self.options[name] for name in ("project", "settings", "wsgi")))
            _source.hand_over(sources, account(self.options["name"]).pw_gid)
            self._check_required_python(sources, project.folder)
            plan, base = self._plan(sources, project.folder)
            venv = os.path.join(self.layout.venvs, plan.key(base))
            self._virtualenv(plan, base, venv, release)
            manifest = Manifest(
                id=release,
                app=self.options["name"],
                revision=revision,
                version=self.options["version"] or "",
                source=self.options["source"],
                project=project.folder,
                settings=self.environment.get("DJANGO_SETTINGS_MODULE", project.settings),
                wsgi=project.wsgi,
                requirements=plan.requirements,
                python=_virtualenv.python_version(plan.python),
                venv=venv,
                created=round(time.time(), 3),
                uwsgi=self.uwsgi,
            )
            self._complete(manifest, key)
            # The app cannot write beside its code, so it could never keep what it compiles.
            run([plan.python, "-I", "-m", "compileall", "-q", sources], timeout=self.options["timeout"])
            manifest.write(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return manifest

    def _export(self, revision: str, target: str) -> None:
        if _source.kind(self.options["source"]) == "git":
            _git.fetch(self.access, revision, self.layout.mirror)
            _git.export(self.layout.mirror, revision, target)
            return
        with self._archive() as archive:
            _source.unpack(archive, target)

    @contextmanager
    def _archive(self) -> Iterator[str]:
        """The archive of the source: one that the action plugin sent, or one that is downloaded."""
        source = self.options["source"]
        if self.options["archive"]:
            _source.require_archive(self.options["archive"], source)
            yield self.options["archive"]
            return
        with tempfile.TemporaryDirectory(prefix="emperor-source-") as folder:
            path = os.path.join(folder, "archive")
            try:
                with open_url(self.access.url, self.network) as answer, open(path, "wb") as handle:
                    shutil.copyfileobj(answer, handle)
            except (OSError, ValueError) as error:
                raise SourceError(
                    f"source {source} cannot be downloaded: {error}; check the URL and its login, or give proxy or "
                    f"ca_certificates"
                ) from None
            _source.require_archive(path, source)
            yield path

    def _check_required_python(self, sources: str, project: str) -> None:
        has = _virtualenv.python_version(self.options["python"])
        for folder in (project, "."):
            wanted = _virtualenv.required_python(os.path.join(sources, folder))
            if wanted and not _virtualenv.accepts(wanted, has):
                raise SourceError(self._other_python(f"Python {wanted} (requires-python in its pyproject.toml)", has))

    def _plan(self, sources: str, project: str) -> tuple[_virtualenv.Plan, str]:
        requirements, base = _virtualenv.find_requirements(sources, project, self.options["requirements"])
        plan = _virtualenv.Plan(
            installer=self.options["installer"],
            requirements=requirements,
            python=self.options["python"],
            extras=tuple(self.options["extras"]),
            groups=tuple(self.options["groups"]),
            uv=self._uv(),
            environment=self.network | {"HOME": self._cache, "UV_CACHE_DIR": os.path.join(self._cache, "uv")},
            timeout=self.options["timeout"],
        )
        return plan, base

    def _uv(self) -> str:
        if self.options["uv"] or self.options["installer"] != "uv":
            return self.options["uv"] or ""
        return _virtualenv.ensure_uv(self.options["uv_version"], PROGRAMS, self.options["python"], self.network)

    def _virtualenv(self, plan: _virtualenv.Plan, base: str, venv: str, release: str) -> None:
        if os.path.exists(os.path.join(venv, DONE)):
            return
        _room.require_for_virtualenv(self.layout, release, venv)
        user = account(self.options["name"])
        shutil.rmtree(venv, ignore_errors=True)
        os.makedirs(venv)
        os.chown(venv, user.pw_uid, user.pw_gid)
        try:
            _virtualenv.build(plan, base, venv, self.options["name"])
        except BaseException:
            shutil.rmtree(venv, ignore_errors=True)
            raise
        # By descriptors: a program that an installed package has left behind could put links into the way.
        for _parent, folders, names, descriptor in os.fwalk(venv):
            for name in [*folders, *names]:
                os.chown(name, 0, user.pw_gid, dir_fd=descriptor, follow_symlinks=False)
        os.chown(venv, 0, user.pw_gid)
        os.chmod(venv, 0o750)
        done = {"requirements": plan.requirements, "installer": plan.installer, "python": sys.version}
        write_atomic(os.path.join(venv, DONE), json.dumps(done) + "\n")

    def _complete(self, manifest: Manifest, key: str) -> bool:
        """Write, or repair, what belongs to a release besides sources and virtual environment."""
        folder = self.layout.release(manifest.id)
        user = account(self.options["name"])
        run_directory = self.options["run_directory"] or f"/run/emperor/{self.options['name']}"
        changed = ensure_directory(
            os.path.join(folder, "static"), mode=0o755, uid=user.pw_uid, gid=user.pw_gid, dry_run=self.check_mode
        )
        names, sources = self.options["shared_folders"], os.path.join(folder, "src")
        changed |= share(names, sources, self.layout.shared, self.options["name"], self.check_mode)
        links = {"venv": os.path.relpath(manifest.venv, folder), "live.sock": f"{run_directory}/{manifest.id}.sock"}
        for name, target in links.items():
            path = os.path.join(folder, name)
            if not os.path.islink(path) or os.readlink(path) != target:
                changed = True
                if not self.check_mode:
                    replace_link(path, target)
        path, text = os.path.join(folder, "env"), self._environment_text(manifest, key)
        if read_text(path) != text or os.stat(path).st_mode & 0o7777 != 0o640:
            changed = True
            if not self.check_mode:
                write_atomic(path, text, mode=0o640, uid=0, gid=user.pw_gid)
        return changed

    def _environment_text(self, manifest: Manifest, key: str) -> str:
        folder = self.layout.release(manifest.id)
        added = {
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "HOME": self.layout.shared,
            "PATH": f"{folder}/venv/bin:/usr/local/bin:/usr/bin:/bin",
            "VIRTUAL_ENV": f"{folder}/venv",
            "DJANGO_SETTINGS_MODULE": manifest.settings,
            "STATIC_ROOT": f"{folder}/static",
            "MEDIA_ROOT": f"{self.layout.shared}/media",
        }
        fixed = {"EMPEROR_RELEASE": manifest.id, "EMPEROR_REVISION": manifest.revision}
        environment = added | self._configuration(key) | fixed
        return json.dumps(environment, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
