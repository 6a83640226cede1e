from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("forked", "0001_initial")]
    operations = []
