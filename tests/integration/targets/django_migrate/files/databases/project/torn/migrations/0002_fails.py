import os

from django.db import migrations


def fail(apps, schema_editor):
    if os.environ.get("BANK_FAIL"):
        raise ValueError("the second half is missing")


class Migration(migrations.Migration):
    atomic = os.environ.get("BANK_ATOMIC") != "no"
    dependencies = [("torn", "0001_initial")]
    operations = [
        migrations.RunSQL("CREATE TABLE torn_two (id integer)", "DROP TABLE torn_two"),
        migrations.RunPython(fail, migrations.RunPython.noop),
    ]
