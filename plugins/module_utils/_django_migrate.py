# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What django_migrate does inside the app's interpreter; see _django_runner."""

from __future__ import annotations

import os
import time


def run(job: dict) -> dict:
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
