"""Settings of a project that can be on any database; what differs comes from the environment:

BANK_DATABASE  the entry default of DATABASES, as JSON
BANK_APPS      apps, separated by commas
BANK_SLEEP     seconds that steady.0002_wait takes
BANK_MARKER    file that gets its process id when it starts
BANK_FAIL      1 lets torn.0002_fails fail
BANK_QUERIES   file that gets each query
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

if os.environ.get("BANK_QUERIES"):
    from django.db.backends.signals import connection_created

    def note(execute, sql, params, many, context):
        with open(os.environ["BANK_QUERIES"], "a") as queries:
            queries.write(" ".join(sql.split()) + "\n")
        return execute(sql, params, many, context)

    def listen(connection, **kwargs):
        connection.execute_wrappers.append(note)

    connection_created.connect(listen)
