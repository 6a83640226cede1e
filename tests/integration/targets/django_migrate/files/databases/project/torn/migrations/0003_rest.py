from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("torn", "0002_fails")]
    operations = [migrations.RunSQL("CREATE TABLE torn_three (id integer)", "DROP TABLE torn_three")]
