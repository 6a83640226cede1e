from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("busy", "0001_initial")]
    operations = [migrations.AddField("desk", "number", models.IntegerField(null=True))]
