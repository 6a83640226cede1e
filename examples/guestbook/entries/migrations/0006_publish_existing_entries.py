from django.db import migrations


def publish(apps, schema_editor):
    Entry = apps.get_model("entries", "Entry")
    Entry.objects.filter(published=None).update(published=True)


class Migration(migrations.Migration):
    dependencies = [("entries", "0005_entry_published")]

    operations = [
        # Nothing to undo: going back before 0005 drops the column.
        migrations.RunPython(publish, migrations.RunPython.noop),
    ]
