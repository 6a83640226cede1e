# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""Which steps of a plan destroy data, or break the code that is still running; see _django_runner.

Each operation is turned into what it changes in the database, old and new side by side. To undo an operation is the
same change with the sides swapped, so one set of rules judges both directions.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple


class Change(NamedTuple):
    """One thing that an operation does; None on a side says that the thing is not there."""

    kind: str  # table, column, sql or code
    table: str
    key: str  # the column, or the field of a table between two models
    old: Any
    new: Any

    def undone(self) -> Change:
        """The same, backwards."""
        whole = self.kind == "table" and not self.key
        table = self.new if whole and self.new else self.table
        key = self.new.name if self.kind == "column" and self.new else self.key
        return Change(self.kind, table, key, self.new, self.old)


class Column(NamedTuple):
    """A column, and the field that describes it."""

    name: str
    field: Any


def unsafe_steps(executor, plan: list, soft_applied: set) -> list[dict]:
    """The operations of a plan that somebody has to allow.

    Only what was there before the plan counts: a table that the same plan makes holds no data, and no running code
    knows it. Migrations in soft_applied are only recorded, as their tables are there already.
    """
    connection = executor.connection
    changes = changes_of_plan(executor, plan)
    fresh: set = set()
    found = []
    empty = not executor.loader.applied_migrations
    for migration, backwards in plan:
        key = (migration.app_label, migration.name)
        if key in soft_applied:
            continue
        for operation, made in reversed(changes[key]) if backwards else changes[key]:
            for change in reversed(made) if backwards else made:
                change = change.undone() if backwards else change
                harmless = is_fresh(change, fresh) or (empty and change.kind == "sql")
                remember(change, fresh, harmless)
                why = None if harmless else judge(change, backwards, connection)
                if why:
                    found.append({"app": key[0], "name": key[1], "operation": operation.describe(), "why": why})
    return found


def changes_of_plan(executor, plan: list) -> dict:
    """What the operations of a plan's migrations change; each is looked at in the state that comes before it."""
    from django.db.migrations.state import ProjectState

    loader = executor.loader
    planned = {(migration.app_label, migration.name) for migration, _backwards in plan}
    state = ProjectState(real_apps=loader.unmigrated_apps)
    changes: dict[tuple, list] = {}
    for migration, _backwards in executor.migration_plan(loader.graph.leaf_nodes(), clean_start=True):
        key = (migration.app_label, migration.name)
        if key in planned:
            changes[key] = []
        elif key not in loader.applied_migrations:
            continue
        for operation in migration.operations:
            if key in planned:
                made = changes_of(operation, migration.app_label, state, executor.connection.alias)
                changes[key].append((operation, made))
            operation.state_forwards(migration.app_label, state)
    return changes


def is_fresh(change: Change, fresh: set) -> bool:
    """Whether the plan itself has made what this changes."""
    return change.kind in ("table", "column") and bool({(change.table, ""), (change.table, change.key)} & fresh)


def remember(change: Change, fresh: set, harmless: bool) -> None:
    """Note what the plan makes, also under a new name."""
    if change.kind not in ("table", "column") or change.new is None:
        return
    if change.kind == "table" and not change.key:
        if change.old is None or harmless:
            fresh.add((change.new, ""))
    elif change.old is None or harmless:
        fresh.add((change.table, change.new.name if change.kind == "column" else change.key))


# What operations change.


def changes_of(operation, app: str, state, alias: str) -> list[Change]:
    """What an operation changes in the database, judged by the state before it; unknown kinds change nothing here."""
    from django.db import migrations, router

    if isinstance(operation, migrations.SeparateDatabaseAndState):
        inner, found = state.clone(), []
        for part in operation.database_operations:
            found += changes_of(part, app, inner, alias)
            part.state_forwards(app, inner)
        return found
    if isinstance(operation, (migrations.RunSQL, migrations.RunPython)):
        if not router.allow_migrate(alias, app, **operation.hints):
            return []
        if isinstance(operation, migrations.RunSQL):
            return [Change("sql", "", "", operation.reverse_sql, operation.sql)]
        return [Change("code", "", "", operation.reverse_code, operation.code)]
    if isinstance(operation, migrations.CreateModel):
        name = operation.name
        if not in_database(app, name, operation.options, alias):
            return []
        table = table_of(app, name, operation.options)
        return [Change("table", table, "", None, table)]
    return changes_of_model(operation, app, state, alias)


def changes_of_model(operation, app: str, state, alias: str) -> list[Change]:
    """The same, for operations on a model that is there."""
    from django.db import migrations

    name = getattr(operation, "model_name", None) or getattr(operation, "old_name", None)
    name = name or getattr(operation, "name", None)
    model = state.models.get((app, str(name).lower()))
    if model is None or not in_database(app, model.name, model.options, alias):
        return []
    table = table_of(app, model.name, model.options)
    if isinstance(operation, migrations.DeleteModel):
        return [Change("table", table, "", table, None)]
    if isinstance(operation, migrations.RenameModel):
        renamed = table_of(app, operation.new_name, model.options)
        return [Change("table", table, "", table, renamed)]
    if isinstance(operation, migrations.AlterModelTable):
        return [Change("table", table, "", table, operation.table or f"{app}_{model.name_lower}")]
    if isinstance(operation, migrations.AddField):
        return field_changes(table, None, (operation.name, operation.field))
    if isinstance(operation, migrations.RemoveField):
        return field_changes(table, (operation.name, model.fields[operation.name]), None)
    if isinstance(operation, migrations.AlterField):
        old = model.fields[operation.name]
        return field_changes(table, (operation.name, old), (operation.name, operation.field))
    if isinstance(operation, migrations.RenameField):
        field = model.fields[operation.old_name]
        return field_changes(table, (operation.old_name, field), (operation.new_name, field))
    if isinstance(operation, migrations.AlterOrderWithRespectTo):
        return order_changes(table, model, operation)
    return []


def order_changes(table: str, model, operation) -> list[Change]:
    """A model's column _order comes or goes with the option order_with_respect_to."""
    from django.db.models.fields.proxy import OrderWrt

    column = Column("_order", OrderWrt())
    had, has = bool(model.options.get("order_with_respect_to")), bool(operation.order_with_respect_to)
    if had == has:
        return []
    return [Change("column", table, column.name, column if had else None, column if has else None)]


def field_changes(table: str, old: tuple | None, new: tuple | None) -> list[Change]:
    """What becomes of a field, given as its name and itself: a column, or a table between two models, or nothing."""
    name, field = old or new or ("", None)
    if field.many_to_many:
        tables = [between(table, *side) if side else None for side in (old, new)]
        return [Change("table", table, name, *tables)] if any(tables) else []
    columns = [column_of(*side) if side else None for side in (old, new)]
    known = [column for column in columns if column]
    return [Change("column", table, known[0].name, *columns)] if known else []


def in_database(app: str, name: str, options: dict, alias: str) -> bool:
    """Whether a model has a table of its own that migrations look after in this database."""
    from django.conf import settings
    from django.db import router

    swapped = options.get("swappable")
    if swapped and str(getattr(settings, swapped, "")).lower() not in ("", f"{app}.{name}".lower()):
        return False
    if options.get("proxy") or not options.get("managed", True):
        return False
    return router.allow_migrate(alias, app, model_name=name.lower())


def table_of(app: str, name: str, options: dict) -> str:
    """The table of a model."""
    return options.get("db_table") or f"{app}_{name.lower()}"


def between(table: str, name: str, field) -> str | None:
    """The table that Django makes for a many-to-many field; none if a model was given for it."""
    return None if field.remote_field.through else field.db_table or f"{table}_{name}"


def column_of(name: str, field) -> Column | None:
    """The column of a field that is not bound to a model yet."""
    from django.db.models import ForeignKey, ForeignObject

    if isinstance(field, ForeignObject):
        if not isinstance(field, ForeignKey):
            return None
        return Column(field.db_column or f"{name}_id", field)
    return Column(field.db_column or name, field)


# Rules.


def judge(change: Change, backwards: bool, connection) -> str | None:
    """Why somebody has to allow a change; None if nobody has to."""
    if change.kind == "table":
        if change.old and not change.new:
            return f"drops the table {change.old} with its rows"
        if change.old and change.old != change.new:
            return f"renames the table {change.old} to {change.new}; code that runs meanwhile asks for the old name"
        return None
    if change.kind == "column":
        return judge_column(change, connection)
    if change.kind == "sql":
        words = risky_words(sql_text(change.new))
        return f"its SQL has {', '.join(words)}" if words else None
    from django.db.migrations import RunPython

    # What code does forwards nobody can tell; backwards it takes away what it made.
    if backwards and change.new not in (None, RunPython.noop):
        return "runs code that undoes a change of data"
    return None


def judge_column(change: Change, connection) -> str | None:
    """The rules for a column."""
    table, old, new = change.table, change.old, change.new
    types = [type_of(side.field, connection) if side else "" for side in (old, new)]
    if None in types:  # fields such as a composite key have none
        return None
    if new is None:
        return f"drops the column {old.name} of {table} with its data; code that runs meanwhile asks for it"
    if old is None:
        if wants_value(new.field):
            return (
                f"adds the column {new.name} to {table}, which may not be null and has no default in the database; "
                f"code that runs meanwhile cannot add rows. Give the field a db_default, or null=True for now"
            )
        return None
    if old.name != new.name:
        return f"renames the column {old.name} of {table} to {new.name}; code that runs meanwhile asks for the old name"
    if old.field.null and not new.field.null and not (has_value(old.field) and has_value(new.field)):
        return (
            f"forbids null in the column {new.name} of {table}; code that runs meanwhile may write it, as its field "
            f"has no default, and rows may have it. First release a default and fill the rows"
        )
    if types[0] and types[1] and narrows(types[0], types[1]):
        return f"changes the column {new.name} of {table} from {types[0]} to {types[1]}, which cannot hold every value"
    return None


def wants_value(field) -> bool:
    """Whether a row cannot be added by code that does not know the field."""
    automatic = getattr(field, "generated", False) or (field.db_returning and field.primary_key)
    return not field.null and not automatic and not has_db_default(field)


def has_db_default(field) -> bool:
    """Whether the database itself fills the column; Django 4.2 knows no such thing."""
    from django.db.models import NOT_PROVIDED

    return getattr(field, "db_default", NOT_PROVIDED) is not NOT_PROVIDED


def has_value(field) -> bool:
    """Whether the field gets a value when nobody gives one."""
    return has_db_default(field) or (field.has_default() and field.default is not None)


def type_of(field, connection) -> str | None:
    """The type of a column, "" if only the other model could tell it, None if there is no column."""
    if field.is_relation:
        return ""
    try:
        kind = field.db_type(connection)
    except Exception:  # a field of a foreign package that needs its model
        return ""
    return kind.lower() if kind is not None else None


INTEGERS = {"smallint": 1, "smallserial": 1, "int": 2, "integer": 2, "serial": 2, "bigint": 3, "bigserial": 3}
TEXTS = ("text", "longtext", "citext")
TYPE = re.compile(r"([a-z][a-z ]*?)\s*(?:\(\s*(\d+)(?:\s*,\s*(\d+))?\s*\))?")


def narrows(old: str, new: str) -> bool:
    """Whether a column of the new type cannot hold all that one of the old type can."""
    if old == new:
        return False
    (before, one, two), (after, three, four) = parse_type(old), parse_type(new)
    signed = [not name.endswith(" unsigned") for name in (before, after)]
    ranks = [INTEGERS.get(name.replace(" unsigned", ""), 0) for name in (before, after)]
    if all(ranks):
        if signed[0] == signed[1]:
            return ranks[1] < ranks[0]
        return signed[0] or ranks[1] <= ranks[0]
    if before in ("varchar", "char", *TEXTS) and after in TEXTS:
        return False
    if before in ("varchar", "char") and after in ("varchar", "char"):
        return three is not None and (one is None or three < one)
    if before == after and before in ("numeric", "decimal"):
        if three is None or four is None:
            return False
        return one is None or two is None or four < two or three - four < one - two
    return True


def parse_type(text: str) -> tuple[str, int | None, int | None]:
    """A type's name and its numbers, as varchar(100) or numeric(10, 2)."""
    text = text.lower().replace(" auto_increment", "").replace("character varying", "varchar")
    found = TYPE.fullmatch(text)
    if not found:
        return text, None, None
    name, one, two = found.groups()
    return name, int(one) if one else None, int(two) if two else None


RISKY = re.compile(
    r"\b(drop\s+(?:table|column|schema|database|materialized\s+view|view|type|sequence|default)"
    r"|truncate|delete\s+from|rename(?:\s+(?:to|column|table))?|set\s+not\s+null|modify\s+column|change\s+column"
    r"|alter\s+column\s+\S+\s+(?:set\s+data\s+)?type)\b",
    re.IGNORECASE,
)
NO_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)


def sql_text(sql) -> str:
    """The text of RunSQL, which takes a string, or a list of strings and of pairs of a string and its values."""
    if not sql:
        return ""
    if isinstance(sql, (list, tuple)):
        return "\n".join(str(one[0] if isinstance(one, (list, tuple)) else one) for one in sql)
    return str(sql)


def risky_words(text: str) -> list[str]:
    """Words of SQL that take something away from the running code, comments and strings left out."""
    words = (" ".join(found.group(1).upper().split()) for found in RISKY.finditer(NO_CODE.sub(" ", text)))
    return sorted(set(words))
