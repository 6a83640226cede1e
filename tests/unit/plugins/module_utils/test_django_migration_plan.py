# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the records alone tell is what the migration graph would have told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ansible_collections.emperor.web.plugins.module_utils import _django_migration_plan

MIGRATION = """from django.db import migrations


class Migration(migrations.Migration):
    dependencies = {dependencies}
    replaces = {replaces}
"""
# Apps, their migrations, what each depends on and what it replaces.
PROJECT = {
    "blog": {
        "0001_initial": ([], []),
        "0002_second": ([("blog", "0001_initial")], []),
        "0003_third": ([("blog", "0002_second"), ("shop", "0001_initial")], []),
    },
    "shop": {
        "0001_initial": ([], []),
        "0002_more": ([("shop", "0001_initial")], []),
        "0001_squashed_0002_more": ([], [("shop", "0001_initial"), ("shop", "0002_more")]),
        "_helper": ([], []),
    },
    "empty": {},
}
START = """
import itertools, json, sys
import django
from django.conf import settings

sys.path.insert(0, sys.argv[1])
apps = ["blog", "shop", "empty", "plain", "without"]
databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
settings.configure(INSTALLED_APPS=apps, DATABASES=databases, MIGRATION_MODULES={"without": None})
django.setup()
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from parts._django_migration_plan import last_applied, last_of_all, one_query, to_record

recorder = MigrationRecorder(connection)
"""
EVERY_SET = """
recorder.ensure_schema()
order = [("shop", "0001_initial"), ("blog", "0001_initial"), ("blog", "0002_second"), ("shop", "0002_more")]
order += [("shop", "0001_squashed_0002_more"), ("blog", "0003_third"), ("blog", "0000_gone")]
found = []
for recorded in itertools.product([False, True], repeat=len(order)):
    recorder.migration_qs.all().delete()
    for key, there in zip(order, recorded):
        if there:
            recorder.record_applied(*key)
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    records = recorder.applied_migrations()
    work = bool(plan or to_record(executor.loader, records))
    found.append([work, last_applied(executor.loader), last_of_all(records)])
print(json.dumps(found))
"""
# What another migrate does between the query that fails and the look for the table.
TABLE_APPEARS = """
has_table = MigrationRecorder.has_table

def late(self):
    MigrationRecorder.has_table = has_table
    self.record_applied("shop", "0001_initial")
    return self.has_table()

with one_query():
    missing = list(recorder.applied_migrations())
    MigrationRecorder.has_table = late
with one_query():
    print(json.dumps([missing, list(recorder.applied_migrations())]))
"""
# A migrate of all apps, which tells how many graphs were built.
MIGRATE = """
from django.db.migrations.loader import MigrationLoader
from parts._django_migration_apply import bring

flags = ["fake", "fake_initial", "run_syncdb", "prune", "check_missing", "check_databases", "check_unknown", "diff"]
job = dict.fromkeys([*flags, "check_mode"], False) | {"app": None, "migration": None, "targets": {}, "allow": []}
job |= {"database": "default", "skip_checks": True, "lock_wait": 1, "lock_timeout": 0, "statement_timeout": None}
build, built = MigrationLoader.build_graph, []

def counted(loader):
    built.append(loader)
    build(loader)

MigrationLoader.build_graph = counted
answer = bring(job, connections["default"])
print(json.dumps([len(built), sorted(f"{one['app']}.{one['name']}" for one in answer["applied"])]))
"""
# Django calls it before it looks at its records.
RECORDS_CHANGE = """
connections["default"].prepare_database = lambda: recorder.record_applied("shop", "0001_initial")
"""


def run(tmp_path: Path, script: str) -> list:
    """What a script prints, run in the project."""
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "__init__.py").touch()
    for path in Path(_django_migration_plan.__file__).parent.glob("_django_migration_*.py"):
        (parts / path.name).symlink_to(path)
    for app, migrations in PROJECT.items():
        (tmp_path / app / "migrations").mkdir(parents=True)
        (tmp_path / app / "__init__.py").touch()
        (tmp_path / app / "migrations/__init__.py").touch()
        for name, (dependencies, replaces) in migrations.items():
            text = MIGRATION.format(dependencies=dependencies, replaces=replaces)
            (tmp_path / app / "migrations" / f"{name}.py").write_text(text)
    for app in ("plain", "without"):
        (tmp_path / app).mkdir()
        (tmp_path / app / "__init__.py").touch()
    done = subprocess.run([sys.executable, "-c", START + script, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_table_that_another_migrate_has_just_made(tmp_path):
    assert run(tmp_path, TABLE_APPEARS) == [[], [["shop", "0001_initial"]]]


def test_every_set_of_records(tmp_path):
    found = run(tmp_path, EVERY_SET)
    assert len(found) == 2**7
    told = [(graph, records) for work, graph, records in found if records is not None]
    assert told, "the records never sufficed"
    assert [work for work, _graph, records in found if records is not None] == [False] * len(told)
    assert [records for _graph, records in told] == [graph for graph, _records in told]


def test_the_graph_is_built_once(tmp_path):
    blog = ["blog.0001_initial", "blog.0002_second", "blog.0003_third"]
    assert run(tmp_path, MIGRATE) == [1, [*blog, "shop.0001_squashed_0002_more"]]


def test_the_graph_of_other_records_is_built_anew(tmp_path):
    blog = ["blog.0001_initial", "blog.0002_second", "blog.0003_third"]
    assert run(tmp_path, RECORDS_CHANGE + MIGRATE) == [2, [*blog, "shop.0002_more"]]
