from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("entries", "0004_entry_attachment")]

    operations = [
        # Without a value for now: 0006 decides about the entries that are already there, 0007 then demands one.
        migrations.AddField(
            model_name="entry",
            name="published",
            field=models.BooleanField(null=True),
        ),
    ]
