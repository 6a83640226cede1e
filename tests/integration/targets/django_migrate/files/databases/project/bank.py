"""Settings of a project that can be on any database; what differs comes from the environment:

BANK_DATABASE  the entry default of DATABASES, as JSON
BANK_APPS      apps, separated by commas
BANK_SLEEP     seconds that steady.0002_wait takes
BANK_MARKER    file that gets its process id when it starts
BANK_FAIL      1 lets torn.0002_fails fail
BANK_ATOMIC    no makes torn.0002_fails a migration that is not atomic
BANK_AFTER     1 lets post_migrate fail
BANK_QUERIES   file that gets a line for each start, query, search for changes of models, and post_migrate of an app
"""

import json
import os

import pymysql

pymysql.version_info = (2, 2, 7, "final", 0)  # Django wants to know the version of mysqlclient
pymysql.install_as_MySQLdb()

SECRET_KEY = "a-key-for-the-tests-only"
DATABASES = {"default": json.loads(os.environ["BANK_DATABASE"])}
INSTALLED_APPS = os.environ["BANK_APPS"].split(",")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

if os.environ.get("BANK_AFTER"):
    from django.db.models.signals import post_migrate

    def fail_after(**kwargs):
        raise ValueError("the rights of the new tables are missing")

    post_migrate.connect(fail_after)

if os.environ.get("BANK_QUERIES"):
    from django.db.backends.signals import connection_created
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.models.signals import post_migrate

    def note(line):
        with open(os.environ["BANK_QUERIES"], "a") as queries:
            queries.write(line + "\n")

    def note_query(execute, sql, params, many, context):
        note(" ".join(sql.split()))
        return execute(sql, params, many, context)

    def listen(connection, **kwargs):
        connection.execute_wrappers.append(note_query)

    def note_migrated(app_config, **kwargs):
        note(f"post_migrate {app_config.label}")

    def note_search(detector, *arguments, _search=MigrationAutodetector.changes, **options):
        note("autodetector")
        return _search(detector, *arguments, **options)

    note("start")
    connection_created.connect(listen)
    post_migrate.connect(note_migrated)
    MigrationAutodetector.changes = note_search
