from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("entries", "0007_alter_entry_published")]

    operations = [
        migrations.AddConstraint(
            model_name="entry",
            constraint=models.CheckConstraint(condition=~models.Q(message=""), name="entry_message_not_empty"),
        ),
    ]
