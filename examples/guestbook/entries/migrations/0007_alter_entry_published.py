from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("entries", "0006_publish_existing_entries")]

    operations = [
        migrations.AlterField(
            model_name="entry",
            name="published",
            field=models.BooleanField(db_default=True, default=True),
        ),
    ]
