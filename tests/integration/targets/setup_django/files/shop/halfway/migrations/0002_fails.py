from django.db import migrations


def fail(apps, schema_editor):
    raise ValueError("the second half is missing")


class Migration(migrations.Migration):
    dependencies = [("halfway", "0001_initial")]
    operations = [
        migrations.RunSQL("CREATE TABLE halfway_two (id integer)", "DROP TABLE halfway_two"),
        migrations.RunPython(fail, migrations.RunPython.noop),
    ]
