"""A test puts this file among the migrations when half of what it replaces is applied."""

from django.db import migrations


class Migration(migrations.Migration):
    replaces = [("merged", "0001_initial"), ("merged", "0002_second")]
    initial = True
    dependencies = []
    operations = []
