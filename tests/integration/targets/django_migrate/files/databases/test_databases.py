"""django_migrate on PostgreSQL, MariaDB and SQLite: the module itself, each run a process of its own.

test_databases.py, with BANK_PYTHON (interpreter of the project) and BANK_COLLECTIONS (folder that has
ansible_collections) in the environment; the three kinds run side by side. One alone: -m unittest test_databases.SQLite
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import ExitStack
from pathlib import Path

import servers

HERE = Path(__file__).resolve().parent
MODULE = "ansible_collections.emperor.web.plugins.modules.django_migrate"
STEADY = ["0001_initial", "0002_wait", "0003_index"]

stack = ExitStack()
top = Path()


def setUpModule() -> None:
    global top
    top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emperor-web-")))
    top.chmod(0o755)


def tearDownModule() -> None:
    stack.close()


class Databases:
    """What is the same for all kinds of databases."""

    rounds = 3
    vendor = ""
    entry: dict = {}
    number = 0

    # How to work with one.

    def make(self, count: int = 1) -> list[dict]:
        """New, empty databases, as entries of DATABASES."""
        made = []
        for _number in range(count):
            Databases.number += 1
            made.append(self.entry | {"NAME": f"bank_{Databases.number}"})
        self.sql(self.entry, *(f"CREATE DATABASE {entry['NAME']}" for entry in made))
        return made

    def sql(self, database: dict, *statements: str) -> list:
        """Run statements; the rows of the last one."""
        with self.session(database, *statements) as session:
            out = session.communicate()[0]
        self.assertEqual(session.returncode, 0)
        return json.loads(out)

    def session(self, database: dict, *statements: str, hold: bool = False) -> subprocess.Popen:
        argv = [os.environ["BANK_PYTHON"], HERE / "statements.py"]
        session = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        session.stdin.write(json.dumps({"database": database, "statements": statements, "hold": hold}) + "\n")
        session.stdin.flush()
        return session

    def tables(self, database: dict) -> set[str]:
        schema = "current_schema()" if self.vendor == "postgresql" else "database()"
        query = f"SELECT table_name FROM information_schema.tables WHERE table_schema = {schema}"
        return {row[0] for row in self.sql(database, query)}

    def columns(self, database: dict, table: str) -> list[str]:
        query = f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}' ORDER BY 1"
        schema = "" if self.vendor == "postgresql" else " AND table_schema = database()"
        return [row[0] for row in self.sql(database, query.replace(" ORDER", schema + " ORDER"))]

    def start(self, database: dict, apps: str, *, check: bool = False, project: dict | None = None, **options):
        """Start the module as Ansible does on a host."""
        environment = {"BANK_DATABASE": json.dumps(database), "BANK_APPS": apps, **(project or {})}
        arguments = {
            "project": str(HERE / "project"),
            "settings": "bank",
            "python": os.environ["BANK_PYTHON"],
            "environment": environment,
            "_ansible_check_mode": check,
            **options,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.environ["BANK_COLLECTIONS"]},
        )
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        process.stdin.close()
        process.stdin = None
        return process

    def end(self, process: subprocess.Popen) -> dict:
        out, errors = process.communicate(timeout=120)
        self.assertTrue(out.strip(), errors)
        self.assertNotIn(servers.PASSWORD, out.partition('"invocation"')[0])
        return json.loads(out)

    def migrate(self, *arguments, **options) -> dict:
        return self.end(self.start(*arguments, **options))

    def names(self, result: dict, what: str = "applied") -> list[str]:
        return [entry["name"] for entry in result[what]]

    # What has to hold on all of them.

    def test_two_at_once_are_one_after_the_other(self):
        """Exactly one applies, both are green; one of the migrations makes an index concurrently."""
        made = self.make(self.rounds)
        for database in made:
            pair = [self.start(database, "steady", project={"BANK_SLEEP": "1"}) for _ in range(2)]
            results = [self.end(process) for process in pair]
            for result in results:
                self.assertFalse(result.get("failed"), result)
            self.assertEqual([result["changed"] for result in results].count(True), 1, results)
            winner, other = sorted(results, key=lambda result: not result["changed"])
            self.assertEqual(self.names(winner), STEADY)
            self.assertEqual((other["plan"], other["applied"]), ([], []))
            self.assertEqual(other["before"], {"steady": "0003_index"})
        self.after_the_rounds(made)

    def after_the_rounds(self, made: list[dict]) -> None:
        """What else shows that it went well."""

    def test_a_holder_is_waited_for_and_a_dead_one_is_not(self):
        (database,) = self.make()
        marker = top / f"marker-{database['NAME'].rpartition('/')[2]}"
        holder = self.start(database, "steady", project={"BANK_SLEEP": "60", "BANK_MARKER": str(marker)})
        deadline = time.monotonic() + 60
        while not marker.exists() and holder.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertTrue(marker.exists(), "the migration did not start")
        predicted = self.migrate(database, "steady", check=True)
        self.assertEqual(self.names(predicted, "plan"), STEADY[1:], predicted)  # to look needs no lock
        late = self.migrate(database, "steady", lock_wait=1)
        self.assertTrue(late["failed"], late)
        self.assertRegex(
            late["msg"], r"^another migrate of database default is running( \(.*\))? and did not end within 1"
        )
        self.assertRegex(late["msg"], r"nothing was changed. Let it end, or end it, then run again; see lock_wait$")
        self.assertFalse(late["changed"])
        os.kill(int(marker.read_text()), signal.SIGKILL)
        self.assertIn("ended with status -9", self.end(holder)["msg"])
        after = self.migrate(database, "steady", lock_wait=10)
        self.assertEqual(self.names(after), STEADY[1:], after)

    def test_a_failure_half_way_is_told(self):
        (database,) = self.make()
        failed = self.migrate(database, "torn", project={"BANK_FAIL": "1"})
        self.assertTrue(failed["failed"])
        self.assertTrue(failed["changed"])
        self.assertEqual(self.names(failed), ["0001_initial"], failed["msg"])
        self.assertIn("torn.0002_fails failed: ValueError: the second half is missing.", failed["msg"])
        self.assertIn("Done before it, and kept: torn.0001_initial; not reached: 1 of the plan.", failed["msg"])
        self.after_a_failure(database, failed["msg"])

    def after_a_failure(self, database: dict, message: str) -> None:
        self.assertIn("It was rolled back.", message)
        self.assertFalse({"torn_two", "torn_three"} & self.tables(database))
        again = self.migrate(database, "torn")
        self.assertEqual(self.names(again), ["0002_fails", "0003_rest"], again)
        self.assertLessEqual({"torn_one", "torn_two", "torn_three"}, self.tables(database))

    # Why a migration that fails may be half done.
    because = "it is not atomic"

    def test_a_failure_that_is_not_rolled_back_is_told(self):
        (database,) = self.make()
        failed = self.migrate(database, "torn", project={"BANK_FAIL": "1", "BANK_ATOMIC": "no"})
        self.assertTrue(failed["failed"])
        self.assertTrue(failed["changed"])
        self.half_done(database, failed["msg"])

    def half_done(self, database: dict, message: str) -> None:
        """Its tables stay, so a second run cannot go on by itself, and the message has to say so."""
        self.assertIn(f"It may be half done, because {self.because}: compare the tables with the output of", message)
        self.assertIn("manage.py sqlmigrate torn 0002_fails, and take back what it has made; or finish it", message)
        self.assertIn("torn_two", self.tables(database))
        again = self.migrate(database, "torn")
        self.assertRegex(again["msg"], "torn.0002_fails failed: .*already exists.*Nothing was done before it")
        self.sql(database, "DROP TABLE torn_two")
        again = self.migrate(database, "torn")
        self.assertEqual(self.names(again), ["0002_fails", "0003_rest"], again)

    def test_a_failure_after_all_migrations_is_told(self):
        (database,) = self.make()
        apps = "torn,django.contrib.sessions"
        failed = self.migrate(database, apps, project={"BANK_AFTER": "1"})
        self.assertTrue(failed["failed"])
        self.assertTrue(failed["changed"])
        self.assertEqual(len(failed["applied"]), 4, failed["msg"])
        self.assertEqual(
            failed["msg"],
            "all migrations were applied, but what runs after them (post_migrate) failed: ValueError: the rights of "
            "the new tables are missing. A second run finds nothing to apply, so mend the cause and run manage.py "
            "migrate once by hand",
        )
        self.assertFalse(self.migrate(database, apps, project={"BANK_AFTER": "1"})["changed"])


class Servers(Databases):
    """What has to hold where there is a server."""

    def test_a_busy_table_ends_the_migration_and_nothing_else(self):
        (database,) = self.make()
        self.migrate(database, "busy", app="busy", migration="0001")
        with self.session(database, *self.occupy, hold=True) as session:
            session.stdout.readline()
            failed = self.migrate(database, "busy", lock_timeout=1)
            session.stdin.close()
        self.assertTrue(failed["failed"], failed)
        self.assertIn("busy.0002_desk_number failed: a statement waited longer for a lock than 1 s", failed["msg"])
        self.assertIn("larger lock_timeout", failed["msg"])
        self.assertFalse(failed["changed"] and self.vendor == "postgresql")
        self.assertEqual(self.columns(database, "busy_desk"), ["id"])
        again = self.migrate(database, "busy")
        self.assertEqual(self.names(again), ["0002_desk_number"], again)
        self.assertEqual(self.columns(database, "busy_desk"), ["id", "number"])

    def test_sql_that_depends_on_earlier_steps_is_told_when_it_can_be(self):
        (database,) = self.make()
        early = f"    -- SQL cannot be told before the steps before it have run ({self.too_early}"
        predicted = self.migrate(database, "paired", check=True, _ansible_diff=True)
        done = self.migrate(database, "paired", _ansible_diff=True, app="paired", migration="0001")
        foreseen = self.migrate(database, "paired", check=True, _ansible_diff=True)
        rest = self.migrate(database, "paired", _ansible_diff=True)
        first, second = predicted["diff"]["after"].split("paired.0002_apart\n")
        self.assertIn("    CREATE TABLE", first)
        self.assertTrue(second.startswith(early), second)
        self.assertEqual(done["diff"]["after"], first)
        self.assertRegex(rest["diff"]["after"], r"^paired.0002_apart\n    -- .*\n    ALTER TABLE .*paired_pair.* DROP ")
        self.assertEqual(rest["diff"], foreseen["diff"])
        self.assertEqual(self.names(rest), ["0002_apart"], rest)

    def test_connections_that_fail_are_told_apart(self):
        (database,) = self.make()
        wrong = {"PASSWORD": "not-the-word-of-the-shop"}
        cases = [
            (wrong, "the server refuses the login; check the user and the password"),
            ({"USER": "nobody-here"}, "the server refuses the login"),
            ({"NAME": "no_such_database"}, "there is no database no_such_database on the server; create it"),
            ({"HOST": f"{top}/no-socket"}, "the server cannot be reached; check that it is running"),
            ({"HOST": "host.invalid", "PORT": "1"}, "its host name is not known; check HOST"),
        ]
        for change, says in cases:
            with self.subTest(says):
                result = self.migrate(database | change, "busy")
                self.assertTrue(result["failed"])
                self.assertRegex(result["msg"], f"^database default cannot be used: {re.escape(says)}")
                self.assertNotIn("not-the-word", result["msg"] + result["traceback"] + result["stderr"])


@unittest.skipUnless(servers.postgresql_programs(), "PostgreSQL is not installed")
class PostgreSQL(Servers, unittest.TestCase):
    rounds = int(os.environ.get("BANK_ROUNDS", "20"))
    vendor = "postgresql"
    occupy = ("BEGIN", "LOCK TABLE busy_desk IN ACCESS SHARE MODE")
    too_early = "ValueError: Found wrong number (0) of constraints"

    @classmethod
    def setUpClass(cls) -> None:
        cls.servers = ExitStack()
        cls.addClassCleanup(cls.servers.close)
        cls.entry, cls.log = servers.postgresql(top, cls.servers)

    def statements(self, database: dict) -> list[str]:
        """What the server was asked about a database."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if line.startswith(f"{database['NAME']}: LOG:  ") and "duration" not in line]

    def after_the_rounds(self, made: list[dict]) -> None:
        """In most of them the second one came while the first one was at it, else nothing was tested."""
        tried = [sum("pg_try_advisory" in line for line in self.statements(database)) for database in made]
        self.assertGreater(sum(count > 1 for count in tried), len(made) / 2, tried)

    def test_nothing_to_do_is_one_query(self):
        (database,) = self.make()
        self.migrate(database, "steady")
        before = len(self.statements(database))
        for check in (True, False):
            result = self.migrate(database, "steady", check=check)
            self.assertFalse(result["changed"], result)
        asked = [line for line in self.statements(database)[before:] if "set_config('TimeZone'" not in line]
        self.assertEqual(len(asked), 2, asked)
        self.assertTrue(all('FROM "django_migrations"' in line for line in asked), asked)

    def test_a_slow_statement_is_ended_by_its_limit(self):
        (database,) = self.make()
        self.migrate(database, "busy", app="busy", migration="0001")
        with self.session(database, *self.occupy, hold=True) as session:
            session.stdout.readline()
            failed = self.migrate(database, "busy", lock_timeout=0, statement_timeout=1)
            session.stdin.close()
        self.assertIn("a statement took longer than 1 s (statement_timeout;", failed["msg"])
        self.assertIn("split the migration into smaller ones", failed["msg"])
        self.assertFalse(failed["changed"])

    def test_rights_that_are_missing_are_told(self):
        (database,) = self.make()
        self.sql(database, f"CREATE ROLE guest LOGIN PASSWORD '{servers.PASSWORD}'")
        result = self.migrate(database | {"USER": "guest"}, "busy")
        self.assertIn("permission denied for schema public", result["msg"])
        self.assertIn(f"make the project's user the owner of database {database['NAME']}", result["msg"])
        self.assertEqual(result["applied"], [])


@unittest.skipUnless(servers.mariadb_program(), "MariaDB is not installed")
class MariaDB(Servers, unittest.TestCase):
    vendor = "mysql"
    occupy = ("LOCK TABLES busy_desk READ",)
    too_early = """ProgrammingError: (1146, "Table"""
    because = "MariaDB cannot roll back changes of a schema"

    @classmethod
    def setUpClass(cls) -> None:
        cls.servers = ExitStack()
        cls.addClassCleanup(cls.servers.close)
        cls.entry = servers.mariadb(top, cls.servers)

    def after_a_failure(self, database: dict, message: str) -> None:
        self.half_done(database, message)


class SQLite(Databases, unittest.TestCase):
    vendor = "sqlite"

    def make(self, count: int = 1) -> list[dict]:
        made = []
        for _number in range(count):
            Databases.number += 1
            folder = top / f"sqlite-{Databases.number}"
            folder.mkdir()
            made.append({"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db")})
        return made

    def after_the_rounds(self, made: list[dict]) -> None:
        """No file of a lock stays."""
        for database in made:
            self.assertEqual({path.name for path in Path(database["NAME"]).parent.iterdir()}, {"db"})

    def tables(self, database: dict) -> set[str]:
        return {row[0] for row in self.sql(database, "SELECT name FROM sqlite_master")}

    def test_nothing_to_do_is_one_start_and_one_query(self):
        """And neither a search for changes of the models nor post_migrate, of which all are noted where they happen."""
        (database,) = self.make()
        notes = top / "notes"
        apps, noting = "torn,django.contrib.sessions", {"BANK_QUERIES": str(notes)}
        first = self.migrate(database, apps, check_missing=True, project=noting)
        self.assertEqual(len(first["applied"]), 4, first)
        noted = notes.read_text().splitlines()
        self.assertEqual([noted.count(line) for line in ("start", "autodetector", "post_migrate sessions")], [1, 1, 1])
        notes.unlink()
        for check in (True, False):
            result = self.migrate(database, apps, check=check, project=noting)
            self.assertFalse(result["changed"], result)
        noted = re.sub(r'^SELECT .* FROM "django_migrations".*$', "query", notes.read_text(), flags=re.MULTILINE)
        self.assertEqual(noted.splitlines(), ["start", "query"] * 2)

    def test_a_file_that_cannot_be_opened_is_told(self):
        result = self.migrate({"ENGINE": "django.db.backends.sqlite3", "NAME": str(top / "nowhere/db")}, "busy")
        self.assertIn("the file or its folder cannot be written by who migrates", result["msg"])
        (top / "text").write_text("this is no database, but a text that is long enough to be looked at" * 20)
        result = self.migrate({"ENGINE": "django.db.backends.sqlite3", "NAME": str(top / "text")}, "busy")
        self.assertIn("the file is no SQLite database", result["msg"])


def main() -> int:
    """Each kind in a process of its own; what fails is shown whole."""
    argv = [sys.executable, "-m", "unittest"]
    kinds = ["PostgreSQL", "MariaDB", "SQLite"]
    running = [
        subprocess.Popen([*argv, f"test_databases.{kind}"], cwd=HERE, text=True, stderr=subprocess.PIPE)
        for kind in kinds
    ]
    for kind, process in zip(kinds, running, strict=True):
        print(kind, process.communicate()[1], flush=True)
    return max(abs(process.returncode) for process in running)


if __name__ == "__main__":
    sys.exit(main())
