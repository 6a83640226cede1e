# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What needs no Django; how it works with a real one is tested with real projects."""

from __future__ import annotations

import fcntl
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils._django_migration_guard import (
    Change,
    narrows,
    risky_words,
    sql_text,
)
from ansible_collections.emperor.web.plugins.module_utils._django_migration_plan import step
from ansible_collections.emperor.web.plugins.module_utils._django_migration_session import (
    Explained,
    FileLock,
    advice,
    limit_that_struck,
    wait_for,
    without_password,
)


def test_a_step_of_a_plan():
    operation = SimpleNamespace(describe=lambda: "Add field slug to article", reversible=True)
    migration = SimpleNamespace(app_label="articles", name="0004_slug", operations=[operation])
    assert step(migration, True) == {
        "app": "articles",
        "name": "0004_slug",
        "backwards": True,
        "reversible": True,
        "operations": ["Add field slug to article"],
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("varchar(50)", "varchar(50)", False),
        ("varchar(50)", "varchar(80)", False),
        ("varchar(50)", "varchar(20)", True),
        ("varchar(50)", "varchar", False),
        ("varchar", "varchar(50)", True),
        ("varchar(50)", "text", False),
        ("longtext", "varchar(9000)", True),
        ("smallint", "integer", False),
        ("bigint", "integer", True),
        ("integer", "bigint auto_increment", False),
        ("integer unsigned", "bigint", False),
        ("integer unsigned", "integer", True),
        ("integer", "integer unsigned", True),
        ("numeric(8, 2)", "numeric(10, 2)", False),
        ("numeric(8, 2)", "numeric(8, 3)", True),
        ("numeric(8, 2)", "numeric(9, 1)", True),
        ("date", "timestamp with time zone", True),
    ],
)
def test_a_type_that_holds_less(old, new, expected):
    assert narrows(old, new) is expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CREATE TABLE x (id int)", []),
        ("drop  table x; Truncate y", ["DROP TABLE", "TRUNCATE"]),
        ("ALTER TABLE x ALTER COLUMN y TYPE int", ["ALTER COLUMN Y TYPE"]),
        ("ALTER TABLE x RENAME TO y", ["RENAME TO"]),
        ("-- drop table x\nSELECT 'drop table' /* truncate */", []),
        ([("DELETE FROM x WHERE id = %s", [1]), "SELECT 1"], ["DELETE FROM"]),
        (None, []),
    ],
)
def test_sql_that_takes_something_away(sql, expected):
    assert risky_words(sql_text(sql)) == expected


def test_a_change_undone_is_the_same_with_its_sides_swapped():
    change = Change("table", "shop_item", "", "shop_item", "shop_thing")
    assert change.undone() == Change("table", "shop_thing", "", "shop_thing", "shop_item")
    assert change.undone().undone() == change


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('FATAL:  password authentication failed for user "shop"', "refuses the login"),
        ("(1045, \"Access denied for user 'shop'@'localhost' (using password: YES)\")", "refuses the login"),
        ("(1044, \"Access denied for user 'shop'@'%' to database 'bank'\")", "lacks rights"),
        ("(1049, \"Unknown database 'bank'\")", "there is no database bank"),
        ('FATAL:  database "bank" does not exist', "there is no database bank"),
        ("connection failed: Connection refused", "cannot be reached"),
        ("could not translate host name", "host name is not known"),
        ("Can't connect to MySQL server on 'db' ([Errno -3] Temporary failure in name resolution)", "host name is not"),
        ("Unknown MySQL server host 'db' (-2)", "host name is not known"),
        ("FATAL:  sorry, too many clients already", "no connection left"),
        ("FATAL:  the database system is starting up", "starting or stopping"),
        ("unable to open database file", "cannot be written"),
        ("division by zero", None),
    ],
)
def test_errors_of_a_database_are_told_apart(text, says):
    found = advice(text, "database bank")
    assert found is None if says is None else says in found


def test_a_password_is_taken_out():
    connection = SimpleNamespace(settings_dict={"PASSWORD": "a-secret"})
    assert without_password("invalid dsn a-secret@db", connection) == "invalid dsn ****@db"
    assert without_password("text", SimpleNamespace(settings_dict={})) == "text"


@pytest.mark.parametrize(
    ("attributes", "arguments", "expected"),
    [
        ({"sqlstate": "55P03"}, (), "lock_timeout"),
        ({"pgcode": "55P03"}, (), "lock_timeout"),
        ({}, (1205, "Lock wait timeout exceeded"), "lock_timeout"),
        ({"sqlstate": "57014"}, ("canceling statement due to statement timeout",), "statement_timeout"),
        ({"sqlstate": "57014"}, ("canceling statement due to user request",), None),
        ({}, ("boom",), None),
    ],
)
def test_the_limit_that_struck(attributes, arguments, expected):
    error = ValueError(*arguments)
    vars(error).update(attributes)
    assert limit_that_struck(error) == expected


def file_lock(path) -> FileLock:
    return FileLock(SimpleNamespace(settings_dict={"NAME": str(path)}))


def test_a_file_lock_has_one_holder_and_leaves_nothing(tmp_path):
    one, two = file_lock(tmp_path / "db"), file_lock(tmp_path / "db")
    assert one.take()
    assert not two.take()
    with pytest.raises(Explained, match=r"another migrate of database default is running .* within 0 s"):
        wait_for(two, 0, "default")
    one.release()
    assert two.take()
    two.release()
    assert list(tmp_path.iterdir()) == []


def test_a_file_lock_on_what_was_just_removed_is_none(tmp_path, monkeypatch):
    """The one before removes its file between opening and locking."""
    lock, real = file_lock(tmp_path / "db"), fcntl.flock

    def late(*arguments) -> None:
        (tmp_path / "db.migrate-lock").unlink()
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        assert not lock.take()
    assert lock.take()
    lock.release()


def test_a_file_lock_where_no_file_can_be_made(tmp_path):
    """The database itself is locked then, which no write of SQLite is hindered by."""
    (tmp_path / "db").touch()
    (tmp_path / "db.migrate-lock").mkdir()  # root may write to any folder, so this has to do
    one, two = file_lock(tmp_path / "db"), file_lock(tmp_path / "db")
    assert one.take()
    assert not two.take()
    one.release()
    assert (tmp_path / "db").exists()
