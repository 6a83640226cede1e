"""Judge operations by the guard of django_migrate, then see what really happens to the code that still runs.

guard.py FOLDER: the folder has the collection's module_utils. It runs in the app's interpreter, on SQLite in memory.
Each case has models that are there, with a row, and operations of the next release. Then the guard judges, the
operations run, and the old models are used: the row has to be what it was, and a new one has to go in.
"""

import importlib
import sys
import types

import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.db import connection, migrations, models  # noqa: E402
from django.db.migrations.executor import MigrationExecutor  # noqa: E402
from django.db.migrations.loader import MigrationLoader  # noqa: E402

parts = types.ModuleType("parts")
parts.__path__ = [sys.argv[1]]
sys.modules["parts"] = parts
judge = importlib.import_module("parts._django_migration_plan").judge

APP = "shop"
ID = ("id", models.BigAutoField(primary_key=True))


def item():
    fields = [
        ID,
        ("name", models.CharField(max_length=50, default="")),
        ("note", models.CharField(max_length=50, null=True)),
        ("size", models.IntegerField(null=True, default=3)),
        ("price", models.DecimalField(max_digits=8, decimal_places=2, default=0)),
        ("shelf", models.ForeignKey("shop.Shelf", models.CASCADE, null=True)),
    ]
    return migrations.CreateModel("Item", fields)


def shelf():
    return migrations.CreateModel("Shelf", [ID, ("code", models.SmallIntegerField(default=1))])


BASE = [shelf, item]
M = migrations
CHAR = models.CharField
NEW = M.CreateModel("Box", [ID, ("label", CHAR(max_length=9))])
HAS_DB_DEFAULT = django.VERSION >= (5, 0)


def with_table(name):
    return M.CreateModel("Kept", [ID, ("x", CHAR(max_length=9))], options={"db_table": name})


# What it is, the operations, what the guard says (None: harmless), and whether the old code really survives.
CASES = [
    ("a new model", [NEW], None, True),
    ("a field that may be null", [M.AddField("item", "colour", CHAR(max_length=9, null=True))], None, True),
    (
        "a field with a default in Python",
        [M.AddField("item", "c", CHAR(max_length=9, default=""))],
        "adds the column c",
        False,
    ),
    (
        "a field without any default",
        [M.AddField("item", "c", models.IntegerField(default=1))],
        "adds the column c",
        False,
    ),
    ("many to many", [M.AddField("item", "boxes", models.ManyToManyField("shop.Shelf", related_name="+"))], None, True),
    (
        "a foreign key",
        [M.AddField("item", "second", models.ForeignKey("shop.Shelf", models.CASCADE, null=True, related_name="+"))],
        None,
        True,
    ),
    ("an index", [M.AddIndex("item", models.Index(fields=["name"], name="item_name"))], None, True),
    ("other choices", [M.AlterField("item", "name", CHAR(max_length=50, default="", verbose_name="x"))], None, True),
    ("options", [M.AlterModelOptions("item", {"ordering": ["name"]})], None, True),
    ("delete a field", [M.RemoveField("item", "note")], "drops the column note of shop_item", False),
    ("delete a foreign key", [M.RemoveField("item", "shelf")], "drops the column shelf_id", False),
    ("delete a model", [M.RemoveField("item", "shelf"), M.DeleteModel("Shelf")], "drops the table shop_shelf", False),
    (
        "rename a field",
        [M.RenameField("item", "note", "remark")],
        "renames the column note of shop_item to remark",
        False,
    ),
    (
        "rename a field but not its column",
        [
            M.AlterField("item", "note", CHAR(max_length=50, null=True, db_column="note")),
            M.RenameField("item", "note", "remark"),
        ],
        None,
        True,
    ),
    (
        "another column",
        [M.AlterField("item", "note", CHAR(max_length=50, null=True, db_column="n"))],
        "renames the column",
        False,
    ),
    ("rename a model", [M.RenameModel("Item", "Product")], "renames the table shop_item to shop_product", False),
    ("another table", [M.AlterModelTable("item", "things")], "renames the table shop_item to things", False),
    ("the same table by name", [M.AlterModelTable("item", "shop_item")], None, True),
    (
        "rename a model but not its table",
        [M.AlterModelTable("item", "shop_item"), M.RenameModel("Item", "Product")],
        None,
        True,
    ),
    (
        "no null any more",
        [M.AlterField("item", "note", CHAR(max_length=50, default=""))],
        "forbids null in the column note",
        False,
    ),
    ("no null any more, always filled", [M.AlterField("item", "size", models.IntegerField(default=3))], None, True),
    (
        "no null, no default any more",
        [M.AlterField("item", "size", models.IntegerField())],
        "forbids null in the column size",
        True,
    ),
    ("null from now on", [M.AlterField("item", "name", CHAR(max_length=50, null=True))], None, True),
    ("a longer text", [M.AlterField("item", "name", CHAR(max_length=80, default=""))], None, True),
    ("any text", [M.AlterField("item", "name", models.TextField(default=""))], None, True),
    # SQLite takes what does not fit; servers do not.
    (
        "a shorter text",
        [M.AlterField("item", "name", CHAR(max_length=20, default=""))],
        "cannot hold every value",
        True,
    ),
    (
        "another type",
        [M.AlterField("item", "name", models.IntegerField(default=1))],
        "from varchar(50) to integer",
        None,
    ),
    ("a wider number", [M.AlterField("shelf", "code", models.BigIntegerField(default=1))], None, True),
    (
        "a narrower number",
        [M.AlterField("item", "size", models.SmallIntegerField(null=True, default=3))],
        "from integer to smallint",
        True,
    ),
    ("an order", [M.AlterOrderWithRespectTo("item", "shelf")], "adds the column _order", False),
    ("SQL that drops", [M.RunSQL("DROP TABLE shop_item")], "its SQL has DROP TABLE", False),
    (
        "SQL that empties",
        [M.RunSQL(["CREATE TABLE x (id int)", ("DELETE FROM shop_item", None)])],
        "its SQL has DELETE FROM",
        False,
    ),
    (
        "SQL that only talks of it",
        [M.RunSQL("-- drop table\nUPDATE shop_item SET name = name || 'drop table' WHERE 1 = 0")],
        None,
        True,
    ),
    ("code", [M.RunPython(M.RunPython.noop)], None, True),
    (
        "forget a field, keep the column",
        [M.SeparateDatabaseAndState(state_operations=[M.RemoveField("item", "note")])],
        None,
        True,
    ),
    (
        "drop the column, keep the field",
        [M.SeparateDatabaseAndState([M.RemoveField("item", "note")])],
        "drops the column note",
        False,
    ),
    ("not ours", [M.CreateModel("Old", [ID], options={"managed": False}), M.DeleteModel("Old")], None, True),
    (
        "a stand-in",
        [M.CreateModel("Proxy", [], options={"proxy": True}, bases=("shop.item",)), M.DeleteModel("Proxy")],
        None,
        True,
    ),
    # What the same plan makes is nobody's yet.
    ("a new model goes again", [NEW, M.DeleteModel("Box")], None, True),
    (
        "a new model changes",
        [
            NEW,
            M.AddField("box", "n", models.IntegerField(default=0)),
            M.RenameModel("Box", "Case"),
            M.RenameField("case", "label", "title"),
            M.RemoveField("case", "title"),
            M.AlterModelTable("case", "cases"),
            M.AddField("case", "m", models.IntegerField(default=0)),
            M.DeleteModel("Case"),
        ],
        None,
        True,
    ),
    (
        "a new field goes again",
        [
            M.AddField("item", "c", CHAR(max_length=9, null=True)),
            M.RenameField("item", "c", "d"),
            M.RemoveField("item", "d"),
        ],
        None,
        True,
    ),
    (
        "a new field demands a value in the end",
        [
            M.AddField("item", "c", models.IntegerField(null=True)),
            M.AlterField("item", "c", models.IntegerField(null=True, default=2)),
        ],
        None,
        True,
    ),
    (
        "a table of its own name",
        [with_table("kept"), M.RenameModel("Kept", "Still"), M.DeleteModel("Still")],
        None,
        True,
    ),
    (
        "a new name is no excuse",
        [M.AlterModelTable("shelf", "shelves"), M.DeleteModel("Shelf")][:1],
        "renames the table",
        False,
    ),
]
if HAS_DB_DEFAULT:
    CASES += [
        (
            "a field that the database fills",
            [M.AddField("item", "c", CHAR(max_length=9, db_default="", default=""))],
            None,
            True,
        ),
        (
            "a field that the database computes",
            [
                M.AddField(
                    "item",
                    "g",
                    models.GeneratedField(
                        expression=models.F("size") + 1, output_field=models.IntegerField(null=True), db_persist=False
                    ),
                )
            ],
            None,
            True,
        ),
    ]

# Undoing: the operations are there already, and are taken back.
BACK = [
    ("undo a model", [NEW], "drops the table shop_box"),
    ("undo a field", [M.AddField("item", "c", CHAR(max_length=9, null=True))], "drops the column c of shop_item"),
    ("undo the end of a field", [M.RemoveField("item", "name")], "adds the column name to shop_item"),
    ("undo the end of a field that may be null", [M.RemoveField("item", "note")], None),
    (
        "undo a longer text",
        [M.AlterField("item", "name", CHAR(max_length=80, default=""))],
        "from varchar(80) to varchar(50)",
    ),
    ("undo a shorter text", [M.AlterField("item", "name", CHAR(max_length=20, default=""))], None),
    ("undo a name", [M.RenameField("item", "note", "remark")], "renames the column remark of shop_item to note"),
    ("undo an index", [M.AddIndex("item", models.Index(fields=["name"], name="item_name"))], None),
    ("undo code", [M.RunPython(M.RunPython.noop, lambda apps, editor: None)], "runs code that undoes"),
    ("undo nothing", [M.RunPython(lambda apps, editor: None, M.RunPython.noop)], None),
    ("undo SQL", [M.RunSQL("CREATE TABLE x (id int)", "DROP TABLE x")], "its SQL has DROP TABLE"),
    (
        "undo both",
        [M.RemoveField("item", "name"), M.AddField("item", "name", CHAR(max_length=9, null=True))],
        "drops the column name",
    ),
]


def migration(name, operations, dependencies=()):
    made = migrations.Migration(name, APP)
    made.operations, made.dependencies = operations, list(dependencies)
    return made


def executor_of(operations):
    """Two migrations of one app, as if read from files: the base, and what comes next."""
    disk = {
        (APP, "0001_initial"): migration("0001_initial", [make() for make in BASE]),
        (APP, "0002_next"): migration("0002_next", operations, [(APP, "0001_initial")]),
    }

    def load_disk(loader):
        loader.disk_migrations, loader.unmigrated_apps, loader.migrated_apps = dict(disk), set(), {APP}

    MigrationLoader.load_disk = load_disk
    return MigrationExecutor(connection)


def clear():
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'DROP TABLE "{table}"')


def survives(old, before):
    """Whether code that knows the old models only still works, and what it had is there."""
    Item, Shelf = old.get_model(APP, "Item"), old.get_model(APP, "Shelf")
    try:
        with_row = list(Item.objects.order_by("id").values_list()) == before
        Item.objects.create(shelf=Shelf.objects.create())
        return with_row and Item.objects.count() == 2
    except Exception:
        return False


def judged(executor, target):
    plan = executor.migration_plan([target])
    return [entry["why"] for entry in judge(executor, plan, fake_initial=False)]


def check(name, found, says):
    right = any(says in why for why in found) if says else not found
    return [] if right else [f"{name}: expected {says!r}, the guard says {found}"]


def main():
    wrong = []
    for name, operations, says, lives in CASES:
        clear()
        first = executor_of(operations)
        state = first.migrate([(APP, "0001_initial")])
        Item, Shelf = state.apps.get_model(APP, "Item"), state.apps.get_model(APP, "Shelf")
        old = state.clone().apps
        Item.objects.create(name="Tea", note="green", shelf=Shelf.objects.create())
        before = list(Item.objects.order_by("id").values_list())
        executor = executor_of(operations)
        wrong += check(name, judged(executor, (APP, "0002_next")), says)
        executor.migrate([(APP, "0002_next")])
        lived = survives(old, before)
        if lives is not None and lived is not lives:
            wrong.append(f"{name}: the old code {'survives' if lived else 'breaks'}")
        if says is None and not lived:
            wrong.append(f"{name}: harmless to the guard, and the old code breaks")
    for name, operations, says in BACK:
        clear()
        executor_of(operations).migrate([(APP, "0002_next")])
        executor = executor_of(operations)
        wrong += check(name, judged(executor, (APP, "0001_initial")), says)
        executor.migrate([(APP, "0001_initial")])
    clear()
    fresh = executor_of([M.RemoveField("item", "note"), M.RunSQL("DELETE FROM shop_item"), M.DeleteModel("Item")])
    wrong += check("a new database", judged(fresh, (APP, "0002_next")), None)
    print(*wrong, sep="\n")
    print(f"{len(CASES)} ways forwards and {len(BACK)} backwards, {len(wrong)} wrong")
    sys.exit(bool(wrong))


main()
