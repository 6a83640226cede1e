# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What a database's own records tell of its migrations, without the graph of them; see _django_runner."""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import contextmanager

from ._django_migration_session import explained

# Options whose answer the records alone do not have.
NEED_THE_GRAPH = ("app", "targets", "check_missing", "check_unknown", "prune", "run_syncdb")


def nothing_to_do(job: dict, connection) -> dict | None:
    """The report of a run that has nothing to do, where the records tell that; else None."""
    from django.db import DatabaseError

    if any(job[name] for name in NEED_THE_GRAPH):
        return None
    try:
        before = last_of_all(recorded(connection))
    except DatabaseError as error:
        raise (explained(error, connection) or error) from None
    nothing: dict = {name: [] for name in ("plan", "tables", "pruned", "recorded", "unsafe", "applied", "unapplied")}
    return None if before is None else nothing | {"before": before}


def recorded(connection) -> dict:
    """The migrations that a database has, by app and name."""
    from django.db.migrations.recorder import MigrationRecorder

    with one_query():
        return MigrationRecorder(connection).applied_migrations()


@contextmanager
def one_query():
    """Have Django read its records of migrations once, by one query; by itself it asks four times."""
    from django.db import DatabaseError
    from django.db.migrations.recorder import MigrationRecorder

    original = MigrationRecorder.applied_migrations
    known: dict = {}

    def applied_migrations(recorder) -> dict:
        alias = recorder.connection.alias
        if alias not in known:
            try:
                rows = list(recorder.migration_qs)
            except DatabaseError:
                # Another migrate may have made the table since; an error that is none of that kind comes again.
                rows = recorder.migration_qs if recorder.has_table() else []
            known[alias] = {(row.app, row.name): row for row in rows}
        return dict(known[alias])

    MigrationRecorder.applied_migrations = applied_migrations
    try:
        yield
    finally:
        MigrationRecorder.applied_migrations = original


def last_of_all(recorded: dict) -> dict | None:
    """The last migration of each app, if all that the project has are recorded; None leaves it to the graph to tell.

    Nothing is to be done then, whatever depends on what.
    """
    found = names_of_files()
    if found is None or not recorded.keys() >= {key for keys in found.values() for key in keys}:
        return None
    return {
        label: max(keys, key=lambda key: recorded[key].pk, default=("", "zero"))[1] for label, keys in found.items()
    }


def names_of_files() -> dict[str, list[tuple]] | None:
    """The migrations of each app as their files tell them; None where an app's module of migrations is not to be found.

    That is enough to know whether all are applied, and to import hundreds of them takes longer than all the rest.
    """
    from django.apps import apps
    from django.db.migrations.loader import MigrationLoader

    found = {}
    for label in sorted(config.label for config in apps.get_app_configs()):
        package, explicit = MigrationLoader.migrations_module(label)
        if package is None:
            continue
        try:
            module = importlib.import_module(package)
        except ModuleNotFoundError:
            if explicit:
                return None
            continue
        if not isinstance(getattr(module, "__path__", None), list):
            continue  # neither a module nor a folder that has no __init__.py is a package of migrations
        names = [name for _finder, name, is_package in pkgutil.iter_modules(module.__path__) if not is_package]
        found[label] = [(label, name) for name in names if name[0] not in "_~"]
    return found
