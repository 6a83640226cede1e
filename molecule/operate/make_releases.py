#!/usr/bin/env python3
"""Make a Git repository of the example with a tag for each release that the tests of this scenario put live.

    make_releases.py FOLDER

v1 is the example, v2 adds a column, v3 adds a migration that cannot be undone, v4 one during which nobody can read.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

GUESTBOOK = Path(__file__).parents[2] / "examples/guestbook"

COLUMN = """from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("entries", "0008_entry_message_not_empty")]
    operations = [
        migrations.AddField("entry", "mood", models.CharField(max_length=20, blank=True, default="", db_default="")),
    ]
"""
NO_WAY_BACK = """from django.db import migrations


def tidy(apps, schema_editor):
    apps.get_model("entries", "Entry").objects.filter(mood="?").update(mood="")


class Migration(migrations.Migration):
    dependencies = [("entries", "0009_entry_mood")]
    operations = [migrations.RunPython(tidy)]
"""
LOCKING = """import time

from django.db import migrations


def lock(apps, schema_editor):
    # SQLite gives this lock only while nobody else has the database open, and keeps everybody out until it ends.
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("PRAGMA locking_mode=EXCLUSIVE")
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("UPDATE entries_entry SET mood = mood")
        time.sleep(3)
        cursor.execute("COMMIT")
        cursor.execute("PRAGMA locking_mode=NORMAL")
        cursor.execute("SELECT count(*) FROM entries_entry").fetchall()


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("entries", "0010_tidy")]
    operations = [migrations.RunPython(lock, migrations.RunPython.noop)]
"""


def main(folder: Path) -> None:
    """Make it anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(GUESTBOOK, folder, ignore=shutil.ignore_patterns("__pycache__", "var"))
    migrations = folder / "entries/migrations"
    git(folder, "init", "--quiet")
    commit(folder, "v1")
    (migrations / "0009_entry_mood.py").write_text(COLUMN)
    models = folder / "entries/models.py"
    text = models.read_text()
    field = '    mood = models.CharField(max_length=20, blank=True, default="", db_default="")\n'
    models.write_text(text.replace("\n    class Meta:", f"{field}\n    class Meta:", 1))
    commit(folder, "v2")
    (migrations / "0010_tidy.py").write_text(NO_WAY_BACK)
    commit(folder, "v3")
    (migrations / "0011_lock.py").write_text(LOCKING)
    commit(folder, "v4")


def commit(folder: Path, tag: str) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", tag)
    git(folder, "tag", tag)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
