from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("entries", "0003_entry_created_index")]

    operations = [
        migrations.AddField(
            model_name="entry",
            name="attachment",
            field=models.FileField(blank=True, db_default="", default="", max_length=255, upload_to="uploads/%Y/"),
        ),
    ]
