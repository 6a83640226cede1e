# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""The half of the Django modules that runs inside the app's own interpreter.

Its text is sent over standard input to C(python -), followed by one call of C(main). It imports nothing but
the standard library and Django, and answers with JSON on a file descriptor of its own, because a project may
print whatever it likes while it loads.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import runpy
import shutil
import sys
import tempfile
import time
import traceback


def main(job: dict) -> None:
    """Do one job and write the answer; whatever the project raises becomes part of the answer."""
    try:
        load_project(job)
        answer = {"result": ACTIONS[job["action"]](job)}
    except BaseException as error:  # the project may call sys.exit or raise anything while it loads
        answer = {"error": describe(error)}
        answer["partial"] = getattr(error, "partial_result", {})
    with os.fdopen(job["reply_fd"], "w", encoding="utf-8", errors="replace") as reply:
        json.dump(answer, reply, ensure_ascii=False)  # a file name that is no UTF-8 must not spoil the answer


def describe(error: BaseException) -> dict:
    """An exception as JSON can carry it."""
    if isinstance(error, SystemExit):
        message = f"the project called sys.exit({error.code!r}) while it was loading"
    else:
        message = str(error) or repr(error)
    return {
        "type": type(error).__name__,
        "message": message,
        "missing_module": error.name if isinstance(error, ModuleNotFoundError) else None,
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
    }


def load_project(job: dict) -> None:
    """Set the project up as its manage.py would: that file may add paths or variables of its own."""
    os.environ["DJANGO_SETTINGS_MODULE"] = job["settings"]
    sys.path[0] = job["project"]
    from django.core import management

    reached = []

    def reach(utility) -> None:
        reached.append(utility)

    manage = os.path.join(job["project"], "manage.py")
    if os.path.exists(manage):
        # Its last step, by execute_from_command_line or without it, must do nothing; a sys.exit after it is no error.
        utility = management.ManagementUtility
        original = utility.execute
        sys.argv = [manage, job["action"]]
        utility.execute = reach
        try:
            runpy.run_path(manage, run_name="__main__")
        except SystemExit as end:
            if not reached or end.code:
                raise
        finally:
            utility.execute = original
    import django

    django.setup()


def check(job: dict) -> dict:
    """Run the system checks, import the WSGI callable and tell what the settings say."""
    from django.conf import settings
    from django.core import checks
    from django.core.management import CommandError

    for tag in job["tags"]:
        if not checks.tag_exists(tag, include_deployment_checks=job["deploy"]):
            raise CommandError(f"no system check has the tag {tag}")
    messages = checks.run_checks(
        tags=job["tags"] or None, include_deployment_checks=job["deploy"], databases=job["databases"] or None
    )
    if job["wsgi"]:
        module, _separator, attribute = job["wsgi"].partition(":")
        getattr(importlib.import_module(module), attribute or "application")
    return {
        "messages": [
            {
                "id": message.id or "",
                "level": checks_level(message.level),
                "object": "" if message.obj is None else str(message.obj),
                "msg": str(message.msg),
                "hint": str(message.hint or ""),
            }
            for message in messages
            if not message.is_silenced()
        ],
        "project": project_facts(settings),
    }


def checks_level(level: int) -> str:
    """Django's numeric level as the name that its documentation uses."""
    for name, bound in (("critical", 50), ("error", 40), ("warning", 30), ("info", 20)):
        if level >= bound:
            return name
    return "debug"


def project_facts(settings) -> dict:
    """What a web server and an operator need to know of a project's settings; nothing secret."""
    import django
    from django.apps import apps

    key = str(getattr(settings, "SECRET_KEY", ""))
    return {
        "django_version": django.get_version(),
        "python_version": ".".join(str(part) for part in sys.version_info[:3]),
        "settings": os.environ["DJANGO_SETTINGS_MODULE"],
        "wsgi_application": getattr(settings, "WSGI_APPLICATION", None),
        "debug": bool(settings.DEBUG),
        "insecure_key": key.startswith("django-insecure-"),
        "allowed_hosts": [str(host) for host in settings.ALLOWED_HOSTS],
        "static_url": settings.STATIC_URL,
        "static_root": str(settings.STATIC_ROOT or ""),
        "media_url": settings.MEDIA_URL,
        "media_root": str(settings.MEDIA_ROOT or ""),
        "staticfiles": apps.is_installed("django.contrib.staticfiles"),
        "databases": [
            {
                "alias": alias,
                "engine": database.get("ENGINE", ""),
                "name": str(database.get("NAME") or "") if "sqlite" in database.get("ENGINE", "") else "",
            }
            for alias, database in settings.DATABASES.items()
        ],
    }


def migrate(job: dict) -> dict:
    """Bring a database to the wanted state; the plan comes from the migration graph, not from printed text."""
    from django.core import management
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    connection = connections[job["database"]]
    name = str(connection.settings_dict["NAME"])
    if job["check_mode"] and connection.vendor == "sqlite" and not os.path.exists(name):
        connection.settings_dict["NAME"] = ":memory:"  # to look must not create the file
    connection.prepare_database()
    executor = MigrationExecutor(connection)
    loader = executor.loader
    loader.check_consistent_history(connection)
    conflicts = loader.detect_conflicts()
    if conflicts:
        listed = "; ".join(f"{app}: {', '.join(sorted(names))}" for app, names in sorted(conflicts.items()))
        raise management.CommandError(
            f"conflicting migrations, several leaves in one app ({listed}); run makemigrations --merge in the project"
        )
    plan = executor.migration_plan(migration_targets(loader, job["app"], job["migration"]))
    steps = [step(migration, backwards) for migration, backwards in plan]
    if not job["fake"]:
        refuse_irreversible(plan)
    done: dict[str, list] = {"applied": [], "unapplied": []}
    if plan and not job["check_mode"]:
        apply_migrations(job, done)
    return {"plan": steps, "vendor": connection.vendor, "name": name, **done}


def refuse_irreversible(plan: list) -> None:
    """Django itself finds out half way, when later migrations are undone already."""
    from django.db.migrations.exceptions import IrreversibleError

    for migration, backwards in plan:
        for operation in migration.operations if backwards else ():
            if not operation.reversible:
                error = IrreversibleError(f"{migration} cannot be undone: {operation.describe()} is not reversible")
                error.partial_result = {"applied": [], "unapplied": []}
                raise error


def step(migration, backwards: bool) -> dict:
    """One step of a plan."""
    return {
        "app": migration.app_label,
        "name": migration.name,
        "backwards": backwards,
        "operations": [operation.describe() for operation in migration.operations],
    }


def migration_targets(loader, app: str | None, migration: str | None) -> list:
    """The graph's nodes to reach: every leaf, the leaves of one app, one migration, or nothing of an app."""
    from django.core.management import CommandError
    from django.db.migrations.exceptions import AmbiguityError

    if not app:
        return loader.graph.leaf_nodes()
    if app not in loader.migrated_apps:
        raise CommandError(f"app {app} has no migrations, or is not in INSTALLED_APPS")
    if not migration:
        return [node for node in loader.graph.leaf_nodes() if node[0] == app]
    if migration == "zero":
        return [(app, None)]
    try:
        target = (app, loader.get_migration_by_prefix(app, migration).name)
        if target not in loader.graph.nodes and target in loader.replacements:
            target = loader.replacements[target].replaces[-1]  # squashed, and applied in part
        return [target]
    except AmbiguityError:
        raise CommandError(f"app {app} has several migrations that start with {migration}; name one whole") from None
    except KeyError:
        raise CommandError(f"app {app} has no migration {migration}") from None


def apply_migrations(job: dict, done: dict[str, list]) -> None:
    """Run Django's own migrate command, with its signals, and note each migration that it finishes."""
    from django.core import management

    command = management.load_command_class(management.get_commands()["migrate"], "migrate")
    started = {}

    def progress(action: str, migration=None, fake: bool = False) -> None:
        if action in ("apply_start", "unapply_start"):
            started[migration] = time.monotonic()
        elif action in ("apply_success", "unapply_success"):
            done["applied" if action == "apply_success" else "unapplied"].append(
                {
                    "app": migration.app_label,
                    "name": migration.name,
                    "seconds": round(time.monotonic() - started[migration], 3),
                    "fake": bool(fake),
                }
            )

    command.migration_progress_callback = progress
    arguments = [argument for argument in (job["app"], job["migration"]) if argument]
    try:
        management.call_command(
            command,
            *arguments,
            database=job["database"],
            interactive=False,
            verbosity=0,
            fake=job["fake"],
            skip_checks=job["skip_checks"],
        )
    except BaseException as error:
        error.partial_result = done
        raise


def collectstatic(job: dict) -> dict:
    """Collect static files into an empty folder, then bring the target to that state file by file.

    The target is never half written, a file edited there by hand is noticed, and check mode is the same work
    without its last step.
    """
    from django.conf import settings
    from django.core import management
    from django.core.exceptions import ImproperlyConfigured

    commands = management.get_commands()
    if "collectstatic" not in commands:
        raise ImproperlyConfigured(
            "django.contrib.staticfiles is not in INSTALLED_APPS, so there is nothing to collect"
        )
    command = management.load_command_class(commands["collectstatic"], "collectstatic")
    command.set_options(
        interactive=False,
        verbosity=0,
        link=job["link"],
        clear=False,
        dry_run=False,
        ignore_patterns=job["ignore"],
        use_default_ignore_patterns=True,
        post_process=True,
    )
    if not command.is_local_storage():
        return collect_in_place(command, job)
    if not command.storage.location:
        raise ImproperlyConfigured("STATIC_ROOT is not set; set it to the folder that the web server serves")
    location = str(command.storage.location)
    with tempfile.TemporaryDirectory(prefix="emperor-collectstatic-") as folder:
        fresh = os.path.join(os.path.realpath(folder), "static")
        settings.STATIC_ROOT = fresh
        command.storage = fresh_storage()
        redirect(command.storage, fresh, job["check_mode"])
        if os.path.realpath(str(command.storage.location)) != fresh:
            return collect_in_place(command, job)
        command.collect()
        changes = compare(snapshot(location), snapshot(fresh), location, keep_unknown=not job["clear"])
        if not job["clear"]:
            refuse_collisions(changes["added"], location)
        if not job["check_mode"]:
            synchronise(fresh, location, changes)
    return changes


def synchronise(fresh: str, location: str, changes: dict) -> None:
    """Carry changes from one folder to another; each file is the old one or the new one at any moment."""
    for name in changes["deleted"]:
        os.unlink(os.path.join(location, name))
        parent = os.path.dirname(name)
        with contextlib.suppress(OSError):  # a folder with other files in it stays
            while parent:  # and so does the target itself, which may have an owner and a mode of its own
                os.rmdir(os.path.join(location, parent))
                parent = os.path.dirname(parent)
    for name in changes["added"] + changes["modified"]:
        target = os.path.join(location, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temporary = f"{target}.{os.getpid()}.tmp"
        shutil.copy2(os.path.join(fresh, name), temporary, follow_symlinks=False)
        os.replace(temporary, target)


def fresh_storage():
    """The static files storage as the settings describe it now."""
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.files.storage import storages
    from django.utils.functional import empty

    storages._storages.pop("staticfiles", None)
    staticfiles_storage._wrapped = empty
    return staticfiles_storage


def redirect(storage, folder: str, check_mode: bool) -> None:
    """Have a storage that takes its place from its own options, not from STATIC_ROOT, write to another folder."""
    from django.core.files.storage import FileSystemStorage, InMemoryStorage

    if isinstance(storage, FileSystemStorage) and str(storage.location) != folder:
        storage._location = folder
        for name in ("base_location", "location"):
            vars(storage._wrapped).pop(name, None)
    if check_mode and getattr(storage, "manifest_storage", storage._wrapped) is not storage._wrapped:
        storage.manifest_storage = InMemoryStorage()


def refuse_collisions(names: list, location: str) -> None:
    """A folder where a file has to go, or the other way round, has to be removed by who made it."""
    for name in names:
        path = os.path.join(location, name)
        while not os.path.lexists(path):
            path = os.path.dirname(path)
        if os.path.isdir(path) == (path == os.path.join(location, name)):
            kind = "folder" if os.path.isdir(path) else "file"
            raise FileExistsError(f"{path} is a {kind}, so {name} cannot be written; remove it, or use clear")


def collect_in_place(command, job: dict) -> dict:
    """A storage whose place is not ours to choose, a bucket for example: what the command reports is all to know."""
    command.dry_run, command.clear = job["check_mode"], job["clear"]
    report = command.collect()
    return {
        "location": "",
        "added": [],
        "modified": sorted(report["modified"]),
        "deleted": [],
        "unmodified": len(report["unmodified"]),
        "exact": False,
    }


def snapshot(folder: str) -> dict[str, str]:
    """Each file below a folder with a digest of its content, or the target of a link."""
    files = {}
    for parent, folders, names in os.walk(folder):
        for name in [*names, *(name for name in folders if os.path.islink(os.path.join(parent, name)))]:
            path = os.path.join(parent, name)
            files[os.path.relpath(path, folder)] = f"-> {os.readlink(path)}" if os.path.islink(path) else digest(path)
    return files


def digest(path: str) -> str:
    """The content of a file in 16 bytes."""
    checksum = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            checksum.update(block)
    return checksum.hexdigest()


def compare(before: dict[str, str], after: dict[str, str], location: str, keep_unknown: bool) -> dict:
    """The difference of two snapshots by content; a file that was written again as it was is no difference."""
    common = before.keys() & after.keys()
    modified = sorted(name for name in common if before[name] != after[name])
    return {
        "location": location,
        "added": sorted(after.keys() - before.keys()),
        "modified": modified,
        "deleted": [] if keep_unknown else sorted(before.keys() - after.keys()),
        "unmodified": len(common) - len(modified),
        "exact": True,
    }


ACTIONS = {"check": check, "migrate": migrate, "collectstatic": collectstatic}
