"""PostgreSQL makes such an index only when no other transaction has a snapshot, so one that waits must have none."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection, migrations, models

AddIndex = AddIndexConcurrently if connection.vendor == "postgresql" else migrations.AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("steady", "0002_wait")]
    operations = [AddIndex("account", models.Index(fields=["name"], name="steady_account_name"))]
