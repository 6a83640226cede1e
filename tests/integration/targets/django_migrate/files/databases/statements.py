"""Run SQL in the project's virtual environment: a database of Django's settings and statements as JSON, from stdin.

Prints the rows of the last statement. With "hold", it keeps its session open until its standard input is closed.
"""

import json
import sys

job = json.loads(sys.stdin.readline())
database = job["database"]
if "postgresql" in database["ENGINE"]:
    import psycopg

    login = {"user": database["USER"], "password": database["PASSWORD"], "host": database["HOST"]}
    connection = psycopg.connect(dbname=database["NAME"], port=database["PORT"], autocommit=True, **login)
elif "sqlite" in database["ENGINE"]:
    import sqlite3

    connection = sqlite3.connect(database["NAME"], isolation_level=None)
else:
    import pymysql

    login = {"user": database["USER"], "password": database["PASSWORD"], "unix_socket": database["HOST"]}
    connection = pymysql.connect(database=database["NAME"] or None, autocommit=True, **login)
cursor = connection.cursor()
for statement in job["statements"]:
    cursor.execute(statement)
print(json.dumps([list(row) for row in cursor.fetchall()] if cursor.description else []), flush=True)
if job.get("hold"):
    sys.stdin.read()
