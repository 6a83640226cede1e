from django.db import migrations


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.RunSQL("CREATE TABLE halfway_one (id integer)", "DROP TABLE halfway_one")]
