from django.db import migrations


class Migration(migrations.Migration):
    initial = True
    operations = [migrations.RunSQL("CREATE TABLE torn_one (id integer)", "DROP TABLE torn_one")]
