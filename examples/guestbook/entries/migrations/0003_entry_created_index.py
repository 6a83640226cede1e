from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("entries", "0002_entry_email")]

    operations = [
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["-created"], name="entry_created_idx"),
        ),
    ]
