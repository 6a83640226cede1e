from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("merged", "0001_initial")]
    operations = []
