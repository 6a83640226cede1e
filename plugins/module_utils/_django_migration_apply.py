# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""How django_migrate brings a database to the wanted state when it is not there; see _django_runner."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Any

from ._django_migration_plan import Work, dotted, look, sql_of, targets_of, unknown_records
from ._django_migration_session import Explained, explained, limit, limit_that_struck, migration_lock


def bring(job: dict, connection) -> dict:
    """Do what the plan says, which comes from the migration graph, not from printed text; the report."""
    work = look(job, connection)
    answer: dict[str, Any] = {"applied": [], "unapplied": []}
    if job["check_unknown"]:
        answer["unknown"] = unknown_records(work.executor.loader)
    if work and job["check_mode"]:
        answer.update(finish_report(job, work))
    elif work:
        with migration_lock(connection, job["lock_wait"]):
            work = look(job, connection, work)  # the one before may have done it
            answer.update(finish_report(job, work))
            if work:
                answer.update(apply(job, connection, work))
    else:
        answer.update(work.report())
    return answer


def finish_report(job: dict, work: Work) -> dict:
    """The report, with the SQL of each step if somebody wants to see it."""
    report = work.report()
    if job["diff"] and not job["fake"]:
        for entry, sql in zip(report["plan"], sql_of(work), strict=True):
            entry["sql"] = sql
    return report


# Applying.


def apply(job: dict, connection, work: Work) -> dict:
    """Do the work, migrations by Django's own command; a failure says what was done before it."""
    done: dict = {"applied": [], "unapplied": []}
    running: list = []
    try:
        if work.prune:
            for key in work.prune:
                work.executor.recorder.record_unapplied(*key)
        elif work.plan or work.tables:
            limit(connection, job["lock_timeout"], job["statement_timeout"])
            with same_graph(work):
                call_migrate(job, done, running)
        else:
            work.executor.check_replacements()
    except BaseException as error:
        raise failure(error, job, connection, work, done, running) from error
    return done


@contextmanager
def same_graph(work: Work):
    """Have Django's command take the graph that the plan comes from: to build it takes as long once more.

    Only while the database has the same records: what Django makes after the first migration is its own again.
    """
    from django.db.migrations import executor as module
    from django.db.migrations.recorder import MigrationRecorder

    make, ours = module.MigrationLoader, work.executor.loader

    def loader(connection, *arguments, **options):
        # A plan for a replaced migration has made a graph without replacements of it.
        if connection is not ours.connection or not ours.replace_migrations or arguments or options:
            return make(connection, *arguments, **options)
        same = MigrationRecorder(connection).applied_migrations().keys() == work.recorded
        return ours if same else make(connection)

    module.MigrationLoader = loader
    try:
        yield
    finally:
        module.MigrationLoader = make


def call_migrate(job: dict, done: dict, running: list) -> None:
    """Run Django's command, with its signals, and note each migration that it starts and finishes."""
    from django.core import management

    command = management.load_command_class(management.get_commands()["migrate"], "migrate")
    started = {}

    def progress(action: str, migration=None, fake: bool = False) -> None:
        if action in ("apply_start", "unapply_start"):
            started[migration] = time.monotonic()
            running[:] = [migration]
        elif action in ("apply_success", "unapply_success"):
            running.clear()
            done["applied" if action == "apply_success" else "unapplied"].append(
                {
                    "app": migration.app_label,
                    "name": migration.name,
                    "backwards": action == "unapply_success",
                    "seconds": round(time.monotonic() - started[migration], 3),
                    "fake": bool(fake),
                }
            )

    command.migration_progress_callback = progress
    flags = {name: job[name] for name in ("fake", "fake_initial", "run_syncdb", "skip_checks")}
    for target in targets_of(job):
        arguments = [argument for argument in target if argument]
        management.call_command(command, *arguments, database=job["database"], interactive=False, verbosity=0, **flags)


def failure(error: BaseException, job: dict, connection, work: Work, done: dict, running: list) -> Explained:
    """What failed, what of it stays, and what to do next."""
    kept = done["applied"] + done["unapplied"]
    migration = running[0] if running else None
    struck = limit_that_struck(error)
    known = explained(error, connection)
    if struck:
        what = (
            f"a statement waited longer for a lock than {job[struck]} s"
            if struck == "lock_timeout"
            else (f"a statement took longer than {job[struck]} s")
        )
        reason = f"{what} ({struck}; {' '.join(str(error).split())})"
        following = {
            "lock_timeout": "Let the session that holds the lock end (see pg_stat_activity, SHOW PROCESSLIST), or wait "
            "for a quieter time, then run again; with a larger lock_timeout more requests queue behind the migration",
            "statement_timeout": "Give it more time, or split the migration into smaller ones, then run again",
        }[struck]
    else:
        reason = f"{type(error).__name__}: {error}"
        following = str(known) if known else "Mend the cause, then run again"
    if migration:
        key = dotted((migration.app_label, migration.name))
        rest = len(work.plan) - len(kept) - 1
        text = f"the migration {key} failed: {reason}. {remains(connection, migration, key)} {count(kept, rest)}"
    elif work.plan and len(kept) == len(work.plan):
        text = f"all migrations were applied, but what runs after them (post_migrate) failed: {reason}."
        following = "A second run finds nothing to apply, so mend the cause and run manage.py migrate once by hand"
    else:
        text = f"the migration failed: {reason}. No migration was started."
    changed = bool(kept or (migration and not rolled_back(connection, migration)))
    return Explained(f"{text} {following}", **{**work.report(), **done, "changed": changed})


def rolled_back(connection, migration) -> bool:
    """Whether a migration that fails leaves nothing behind."""
    return connection.features.can_rollback_ddl and migration.atomic


def remains(connection, migration, key: str) -> str:
    """What a migration that failed leaves behind."""
    if rolled_back(connection, migration):
        return "It was rolled back."
    why = (
        "it is not atomic"
        if connection.features.can_rollback_ddl
        else (f"{connection.display_name} cannot roll back changes of a schema")
    )
    return (
        f"It may be half done, because {why}: compare the tables with the output of manage.py sqlmigrate "
        f"{key.replace('.', ' ')}, and take back what it has made; or finish it by hand and record it with fake."
    )


def count(kept: list, rest: int) -> str:
    """What was done before the failure, and what was not reached."""
    before = (
        f"Done before it, and kept: {', '.join(dotted((e['app'], e['name'])) for e in kept[-5:])}"
        if kept
        else ("Nothing was done before it")
    )
    more = f" and {len(kept) - 5} more" if len(kept) > 5 else ""
    return f"{before}{more}; not reached: {rest} of the plan."
