"""Django looks into the database for the name of the constraint, so its SQL is not known before 0001 has run."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("paired", "0001_initial")]
    operations = [migrations.AlterUniqueTogether("pair", set())]
