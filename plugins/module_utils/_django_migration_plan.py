# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What separates a database from the wanted state, and what must not be done to it; see _django_runner."""

from __future__ import annotations

from typing import Any, NamedTuple

from ._django_migration_records import NEED_THE_GRAPH, last_of_all, one_query
from ._django_migration_session import Explained, connect, explained


class Work(NamedTuple):
    """What separates a database from the wanted state."""

    executor: Any  # None when the records alone tell that nothing is to be done
    before: dict  # for each app the last applied migration, or zero: what to give as migration to come back here
    plan: list  # pairs of a migration and whether it is undone
    tables: list  # to be made for apps without migrations
    prune: list  # records of migrations that the project no longer has
    record: list  # squashed migrations to be recorded, because all that they replace is applied
    unsafe: list
    recorded: frozenset = frozenset()  # the records of the database that all this comes from

    def __bool__(self) -> bool:
        return bool(self.plan or self.tables or self.prune or self.record)

    def report(self) -> dict:
        """All of it, as JSON can carry it."""
        return {
            "plan": [step(migration, backwards) for migration, backwards in self.plan],
            "tables": self.tables,
            "pruned": [dotted(key) for key in self.prune],
            "recorded": [dotted(key) for key in self.record],
            "before": self.before,
            "unsafe": self.unsafe,
        }


def look(job: dict, connection, earlier: Work | None = None) -> Work:
    """Find out what is to be done, and refuse what must not be.

    What was found earlier still counts if the database has the same records.
    """
    from django.db import DatabaseError
    from django.db.migrations.executor import MigrationExecutor
    from django.db.migrations.recorder import MigrationRecorder

    try:
        with one_query():
            recorded = MigrationRecorder(connection).applied_migrations()
            # Tables are what the records do not tell.
            if earlier and earlier.recorded == recorded.keys() and not (job["run_syncdb"] or job["fake_initial"]):
                return earlier
            before = None if any(job[name] for name in NEED_THE_GRAPH) else last_of_all(recorded)
            if before is not None:
                return Work(None, before, [], [], [], [], [])
            executor = MigrationExecutor(connection)
            loader = executor.loader
            refuse_contradictions(loader, connection)
    except DatabaseError as error:
        raise (explained(error, connection) or error) from None
    if job["check_missing"]:
        refuse_missing(loader, job["app"])
    before = last_applied(loader)
    if job["prune"]:
        return Work(executor, before, [], [], to_prune(loader, job["app"]), [], [])
    if job["run_syncdb"] and job["app"] in loader.unmigrated_apps:
        return Work(executor, before, [], missing_tables(connection, {job["app"]}), [], [], [])
    nodes = [node for target in targets_of(job) for node in migration_targets(loader, *target)]
    plan = executor.migration_plan(nodes)
    tables = missing_tables(connection, loader.unmigrated_apps) if job["run_syncdb"] and not job["app"] else []
    record = [] if plan else to_record(loader, recorded)
    unsafe = []
    if plan and not job["fake"]:
        refuse_irreversible(plan)
        unsafe = judge(executor, plan, job["fake_initial"])
    work = Work(executor, before, plan, tables, [], record, unsafe, frozenset(recorded))
    refuse_unsafe(job, work)
    return work


def judge(executor, plan: list, fake_initial: bool) -> list:
    """The operations that somebody has to allow; a new database has nothing that they could harm."""
    if is_new(executor.connection, executor.recorder):
        return []
    from ._django_migration_guard import unsafe_steps  # which takes longer to compile than all else here

    return unsafe_steps(executor, plan, already_there(executor, plan) if fake_initial else set())


def is_new(connection, recorder) -> bool:
    """Whether a database has no table yet, whatever SQL of their own the migrations may run."""
    return not set(connection.introspection.table_names()) - {recorder.Migration._meta.db_table}


def already_there(executor, plan: list) -> set:
    """The initial migrations whose tables fake_initial will find."""
    initial = [migration for migration, backwards in plan if not backwards and migration.initial is not False]
    keys = {(migration.app_label, migration.name): migration for migration in initial}
    return {key for key, migration in keys.items() if executor.detect_soft_applied(None, migration)[0]}


def refuse_contradictions(loader, connection) -> None:
    """Stop at what no plan can be made from."""
    from django.db.migrations.exceptions import InconsistentMigrationHistory

    try:
        loader.check_consistent_history(connection)
    except InconsistentMigrationHistory as error:
        raise Explained(
            f"the database's records contradict the project: {error} Release the code that the records come from, or "
            f"record the missing migration with app, migration and fake if its changes are in the database"
        ) from error
    conflicts = loader.detect_conflicts()
    if conflicts:
        listed = "; ".join(f"{app}: {', '.join(sorted(names))}" for app, names in sorted(conflicts.items()))
        raise Explained(
            f"conflicting migrations, several leaves in one app ({listed}); run makemigrations --merge in the project, "
            f"and commit what it writes"
        )


def refuse_missing(loader, app: str | None) -> None:
    """Stop when models have changes that no migration has."""
    from django.apps import apps
    from django.core import management
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.migrations.state import ProjectState

    command = management.load_command_class(management.get_commands()["migrate"], "migrate")
    autodetector = getattr(command, "autodetector", MigrationAutodetector)  # a project may have its own from 5.2 on
    changes = autodetector(loader.project_state(), ProjectState.from_apps(apps)).changes(graph=loader.graph)
    wanted = {label: found for label, found in changes.items() if app in (None, label)}
    if wanted:
        listed = "; ".join(
            f"{label}: {', '.join(operation.describe() for one in found for operation in one.operations)}"
            for label, found in sorted(wanted.items())
        )
        raise Explained(
            f"models have changes without a migration ({listed}); run makemigrations in the project, and commit "
            f"what it writes"
        )


def refuse_irreversible(plan: list) -> None:
    """Django itself finds out half way, when later migrations are undone already."""
    for migration, backwards in plan:
        for operation in migration.operations if backwards else ():
            if not operation.reversible:
                raise Explained(
                    f"{migration} cannot be undone: {operation.describe()} is not reversible; nothing was changed. Go "
                    f"back to a later migration, or restore a backup"
                )


def refuse_unsafe(job: dict, work: Work) -> None:
    """Stop before anything changes, when somebody has to allow it first."""
    allowed = set(job["allow"])
    refused = [entry for entry in work.unsafe if not {dotted((entry["app"], entry["name"])), "all"} & allowed]
    if refused:
        listed = "; ".join(f"{entry['app']}.{entry['name']}: {entry['operation']}, {entry['why']}" for entry in refused)
        names = sorted({dotted((entry["app"], entry["name"])) for entry in refused})
        raise Explained(
            f"the plan destroys data or breaks the code that runs until the release is live, so nothing was changed "
            f"({listed}). When no running code needs it and a backup is there, allow it by "
            f"allow: [{', '.join(names)}]",
            **work.report(),
        )


def targets_of(job: dict) -> list[tuple]:
    """What was asked for, as pairs of an app and a migration; none of either is all that there is."""
    return sorted(job["targets"].items()) or [(job["app"], job["migration"])]


def unknown_records(loader) -> list[str]:
    """Applied migrations that the project does not have, as the code of another release made them."""
    replaced = {tuple(key) for squashed in loader.replacements.values() for key in squashed.replaces}
    return sorted(map(dotted, set(loader.applied_migrations) - set(loader.disk_migrations) - replaced))


def migration_targets(loader, app: str | None, migration: str | None) -> list:
    """The graph's nodes to reach: every leaf, the leaves of one app, one migration, or nothing of an app."""
    from django.db.migrations.exceptions import AmbiguityError

    if not app:
        return loader.graph.leaf_nodes()
    if app not in loader.migrated_apps:
        raise Explained(f"app {app} has no migrations, or is not in INSTALLED_APPS")
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
        raise Explained(f"app {app} has several migrations that start with {migration}; name one whole") from None
    except KeyError:
        raise Explained(f"app {app} has no migration {migration}") from None


def to_prune(loader, app: str) -> list:
    """Records of an app's migrations that the project no longer has."""
    if app not in loader.migrated_apps:
        raise Explained(f"app {app} has no migrations, or is not in INSTALLED_APPS")
    gone = {key for key in set(loader.applied_migrations) - set(loader.disk_migrations) if key[0] == app}
    blocking = [key for key, squashed in loader.replacements.items() if gone & set(map(tuple, squashed.replaces))]
    if blocking:
        raise Explained(
            f"nothing was pruned: {', '.join(map(dotted, sorted(blocking)))} still has 'replaces'; migrate all hosts, "
            f"take 'replaces' out of it, release that, and prune then"
        )
    return sorted(gone)


def to_record(loader, recorded: dict) -> list:
    """Squashed migrations that have no record yet, though all that they replace have one."""
    return [
        key
        for key, migration in sorted(loader.replacements.items())
        if key not in recorded and all(replaced in recorded for replaced in migration.replaces)
    ]


def missing_tables(connection, labels: set) -> list:
    """Tables of apps without migrations that the database does not have, as Django's run_syncdb makes them."""
    from django.apps import apps
    from django.db import router

    convert = connection.introspection.identifier_converter
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
    configs = [config for config in apps.get_app_configs() if config.label in labels and config.models_module]
    models = [model for one in configs for model in router.get_migratable_models(one, connection.alias)]
    wanted = [model._meta.db_table for model in models if model._meta.can_migrate(connection)]
    return [table for table in wanted if convert(table) not in there]


def other_databases(done: str) -> list:
    """What the project's other databases lack; one that cannot be reached is no reason to fail."""
    from django.db import connections, router
    from django.db.migrations.executor import MigrationExecutor

    found = []
    for alias in connections:
        if alias == done:
            continue
        try:
            with one_query():
                executor = MigrationExecutor(connect(alias, looking=True)[0])
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except Exception as error:
            found.append({"alias": alias, "unapplied": [], "error": str(error)})
            continue
        keys = [(migration.app_label, migration.name) for migration, _backwards in plan]
        lacking = [dotted(key) for key in keys if router.allow_migrate(alias, key[0])]
        found.append({"alias": alias, "unapplied": lacking})
    return found


# Reporting.


def dotted(key: tuple) -> str:
    """A migration's name as options and messages have it."""
    return f"{key[0]}.{key[1]}"


def step(migration, backwards: bool) -> dict:
    """One step of a plan."""
    return {
        "app": migration.app_label,
        "name": migration.name,
        "backwards": backwards,
        "reversible": all(operation.reversible for operation in migration.operations),
        "operations": [operation.describe() for operation in migration.operations],
    }


def last_applied(loader) -> dict:
    """For each app the last applied migration, or zero."""
    found = {}
    for app in sorted(loader.migrated_apps):
        applied = {key for key in loader.graph.nodes if key[0] == app and key in loader.applied_migrations}
        last = [key for key in applied if not {child.key for child in loader.graph.node_map[key].children} & applied]
        found[app] = max(last)[1] if last else "zero"
    return found


def sql_of(work: Work) -> list:
    """For each step the lines of SQL that Django can tell without running it."""
    from django.db.migrations.state import ProjectState

    executor, loader = work.executor, work.executor.loader
    state = ProjectState(real_apps=loader.unmigrated_apps)
    planned = {(migration.app_label, migration.name) for migration, _backwards in work.plan}
    texts = {}
    for migration, _backwards in executor.migration_plan(loader.graph.leaf_nodes(), clean_start=True):
        key = (migration.app_label, migration.name)
        if key in planned:
            backwards = work.plan[0][1]
            texts[key] = sql_of_step(executor.connection, migration, backwards, state.clone())
        if key in planned or key in loader.applied_migrations:
            state = migration.mutate_state(state, preserve=False)
    return [texts[(migration.app_label, migration.name)] for migration, _backwards in work.plan]


def sql_of_step(connection, migration, backwards: bool, state) -> list:
    """What sqlmigrate shows of one migration."""
    try:
        with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
            (migration.unapply if backwards else migration.apply)(state, editor, collect_sql=True)
        return [line for text in editor.collected_sql for line in text.splitlines() if line != "--"]
    except Exception as error:  # such as a constraint that an earlier step of the plan makes
        return [f"-- SQL cannot be told before the steps before it have run ({type(error).__name__}: {error})"]
