# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""How a migrate reaches its database: connection, limits, and a lock that keeps others out; see _django_runner."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from contextlib import contextmanager, suppress
from typing import Any


class Explained(Exception):
    """A failure whose message already says what to do next."""

    explained = True

    def __init__(self, message: str, **partial) -> None:
        super().__init__(message)
        self.partial_result = {"applied": [], "unapplied": [], "changed": False, **partial}


# Reaching it.

# What servers and drivers say, and what that means; the first that fits counts.
REASONS = [
    (
        r"to database '|permission denied|command denied",
        "the user lacks rights; make the project's user the owner of {it}",
    ),
    (
        r"password authentication failed|no password supplied|authentication failed for user|Access denied for user"
        r"|no pg_hba\.conf entry|role \"[^\"]*\" does not exist|SCRAM|auth_gssapi",
        "the server refuses the login; check the user and the password in the project's environment, and that the "
        "server has this user and lets it in from here",
    ),
    (r"database \"[^\"]*\" does not exist|Unknown database", "there is no {it} on the server; create it"),
    (r"too many|remaining connection slots|Too many", "the server has no connection left; free some, then run again"),
    (
        r"translate host name|[Nn]ame or service|name resolution|Unknown (MySQL )?server host|resolve|getaddrinfo"
        r"|Name has no usable address",
        "its host name is not known; check HOST in the project's environment, and the DNS of this host",
    ),
    (r"starting up|shutting down|recovery mode", "the server is starting or stopping; run again in a moment"),
    (
        r"refused|No such file|timed? ?out|unreachable|No route|Can't connect|could not connect|closed the connection",
        "the server cannot be reached; check that it is running, HOST and PORT in the project's environment, and what "
        "is between it and this host",
    ),
    (
        r"unable to open database file|readonly database",
        "the file or its folder cannot be written by who migrates; the folder has to exist and be that user's",
    ),
    (r"not a database", "the file is no SQLite database; check NAME in the settings"),
    (r"database is locked", "another program is writing to the file; let it end, then run again"),
]


def advice(text: str, name: str) -> str | None:
    """What an error of a server, a driver or SQLite means, and what to do next."""
    for pattern, meaning in REASONS:
        if re.search(pattern, text):
            return meaning.format(it=name)
    return None


def without_password(text: str, connection) -> str:
    """A message of a driver without the password that it may quote."""
    password = str(connection.settings_dict.get("PASSWORD") or "")
    return text.replace(password, "****") if password else text


def explained(error: BaseException, connection) -> Explained | None:
    """An error of a database that is known, with advice; to be raised without its cause, which may quote more."""
    text = without_password(" ".join(str(error).split()), connection)
    meaning = advice(text, f"database {connection.settings_dict.get('NAME')}")
    if not meaning:
        return None
    return Explained(f"database {connection.alias} cannot be used: {meaning} ({type(error).__name__}: {text})")


def connect(alias: str, looking: bool) -> tuple:
    """The open connection of an alias, and the name in the settings; to look must not create SQLite's file."""
    from django.db import DatabaseError, InterfaceError, connections
    from django.utils.connection import ConnectionDoesNotExist

    try:
        connection = connections[alias]
    except ConnectionDoesNotExist:
        raise Explained(f"the settings have no database {alias}; DATABASES has {', '.join(connections)}") from None
    name = str(connection.settings_dict["NAME"])
    if looking and connection.vendor == "sqlite" and not os.path.exists(name):
        connection.settings_dict["NAME"] = ":memory:"
    try:
        connection.ensure_connection()
    except (DatabaseError, InterfaceError, OSError) as error:
        text = without_password(" ".join(str(error).split()), connection)
        failure = Explained(
            f"database {alias} cannot be used: no connection ({type(error).__name__}: {text}); check DATABASES in the "
            f"settings and the project's environment"
        )
        raise explained(error, connection) or failure from None
    return connection, name


def own_connection(connection):
    """One more connection to the same database, out of reach of what migrations do with theirs."""
    own = connection.copy()
    own.settings_dict.get("OPTIONS", {}).pop("pool", None)
    return own


# The lock. The server or the system lets it go when its holder dies, however that happens.

LOCK = "emperor.web django_migrate"


class PostgresLock:
    """An advisory lock that lasts as long as a transaction, on a connection of its own.

    So it stays with its holder also behind a pooler that hands connections out by the transaction. It is tried again
    and again: a statement that waits would hold a snapshot, which CREATE INDEX CONCURRENTLY of the holder waits for.
    """

    key = int.from_bytes(hashlib.sha256(LOCK.encode()).digest()[:8], "big", signed=True)

    def __init__(self, connection) -> None:
        self.connection = own_connection(connection)

    def take(self) -> bool:
        with self.connection.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [self.key])
            if not cursor.fetchone()[0]:
                cursor.execute("ROLLBACK")
                return False
            # It is idle while the other connection works; a holder whose host is gone is noticed within a minute.
            limits = ["idle_in_transaction_session_timeout = 0", "tcp_keepalives_idle = 30"]
            limits += ["tcp_keepalives_interval = 10", "tcp_keepalives_count = 3"]
            if self.connection.pg_version >= 170000:
                limits.append("transaction_timeout = 0")
            for limit in limits:
                cursor.execute(f"SET LOCAL {limit}")
        return True

    def holder(self) -> str:
        query = """SELECT pid, coalesce(host(client_addr), 'this host'), date_trunc('second', xact_start)
            FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE locktype = 'advisory' AND granted AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND ((classid::bigint << 32) | objid::bigint) = %s"""
        with self.connection.cursor() as cursor:
            cursor.execute(query, [self.key])
            row = cursor.fetchone()
        return "server process {} from {}, since {}".format(*row) if row else ""

    def release(self) -> None:
        self.connection.close()


class MysqlLock:
    """GET_LOCK on a connection of its own; such a name is the whole server's, so the database is part of it."""

    def __init__(self, connection) -> None:
        self.connection = own_connection(connection)
        name = str(connection.settings_dict["NAME"])
        self.name = f"{LOCK} {hashlib.sha256(name.encode()).hexdigest()[:32]}"

    def take(self) -> bool:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK(%s, 0)", [self.name])
            taken = cursor.fetchone()[0] == 1
            if taken:  # it is idle while the other connection works
                cursor.execute("SET SESSION wait_timeout = 604800")
        return taken

    def holder(self) -> str:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT IS_USED_LOCK(%s)", [self.name])
            number = cursor.fetchone()[0]
        return f"server connection {number}" if number else ""

    def release(self) -> None:
        self.connection.close()


class FileLock:
    """flock on a file beside SQLite's, or on that one itself where none can be made."""

    def __init__(self, connection) -> None:
        name = str(connection.settings_dict["NAME"])
        self.database = os.path.realpath(re.sub(r"^file:|\?.*$", "", name) if name.startswith("file:") else name)
        self.path = f"{self.database}.migrate-lock"
        self.file: int | None = None

    def take(self) -> bool:
        umask = os.umask(0o022)  # whoever else migrates has to be able to open it
        try:
            file, path = os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644), self.path
        except OSError:
            file, path = os.open(self.database, os.O_RDONLY | os.O_CLOEXEC), self.database
        finally:
            os.umask(umask)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one before may have removed the file just now; then this is a lock on nothing.
            if os.path.samestat(os.fstat(file), os.stat(path)):
                self.file, self.path = file, path
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(file)
        return False

    def holder(self) -> str:
        return f"see lsof {self.path}"

    def release(self) -> None:
        if self.file is not None:
            if self.path != self.database:
                with suppress(OSError):
                    os.unlink(self.path)
            os.close(self.file)


LOCKS = {"postgresql": PostgresLock, "mysql": MysqlLock, "sqlite": FileLock}


@contextmanager
def migration_lock(connection, seconds: float):
    """Let one migrate of a database run at a time, from whatever host."""
    from django.db import DatabaseError

    kind: Any = LOCKS.get(connection.vendor)
    if not kind or (connection.vendor == "sqlite" and connection.is_in_memory_db()):
        yield
        return
    lock = kind(connection)
    try:
        try:
            wait_for(lock, seconds, connection.alias)
        except DatabaseError as error:
            raise (explained(error, connection) or error) from None
        yield
    finally:
        lock.release()


def wait_for(lock, seconds: float, alias: str) -> None:
    """Take a lock, or say who has it."""
    deadline = time.monotonic() + seconds
    while not lock.take():
        if time.monotonic() >= deadline:
            holder = lock.holder()
            raise Explained(
                f"another migrate of database {alias} is running{f' ({holder})' if holder else ''} and did not end "
                f"within {seconds} s; nothing was changed. Let it end, or end it, then run again; see lock_wait"
            )
        time.sleep(0.2)


# Limits.


def limit(connection, lock_timeout: float | None, statement_timeout: float | None) -> None:
    """Have the statements of migrations give up in time; planning, signals and the lock are left alone.

    In a transaction the limits end with it, so that no pooler carries them over to the app's own sessions.
    """
    limits: list[tuple[str, str]] = []
    if connection.vendor == "postgresql":
        given = (("lock_timeout", lock_timeout), ("statement_timeout", statement_timeout))
        limits = [(name, f"{round(value * 1000)}") for name, value in given if value is not None]
    elif connection.vendor == "mysql" and lock_timeout:
        limits = [("lock_wait_timeout", f"{max(1, round(lock_timeout))}")]
    if not limits:
        return
    original: Any = connection.SchemaEditorClass
    scope = "SESSION " if connection.vendor == "mysql" else ""
    reset = "SET SESSION {} = DEFAULT" if connection.vendor == "mysql" else "RESET {}"

    class Limited(original):
        def __enter__(self):
            editor = super().__enter__()
            with connection.cursor() as cursor:
                for name, value in limits:
                    cursor.execute(f"SET {'LOCAL ' if self.atomic_migration else scope}{name} = {value}")
            return editor

        def __exit__(self, kind, error, trace):
            try:
                return super().__exit__(kind, error, trace)
            finally:
                if not self.atomic_migration:
                    with suppress(Exception), connection.cursor() as cursor:  # the first failure counts
                        for name, _value in limits:
                            cursor.execute(reset.format(name))

    connection.SchemaEditorClass = Limited


def limit_that_struck(error: BaseException) -> str | None:
    """The option whose limit ended a statement."""
    cause = error.__cause__ or error
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state == "55P03" or (cause.args and cause.args[0] == 1205):
        return "lock_timeout"
    if state == "57014" and "statement timeout" in str(error):
        return "statement_timeout"
    return None
