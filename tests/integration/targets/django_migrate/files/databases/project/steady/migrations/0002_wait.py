import os
import time

from django.db import migrations


def wait(apps, schema_editor):
    if os.environ.get("BANK_MARKER"):
        with open(os.environ["BANK_MARKER"] + ".new", "w") as marker:
            marker.write(str(os.getpid()))
        os.rename(marker.name, os.environ["BANK_MARKER"])
    time.sleep(float(os.environ.get("BANK_SLEEP", "0")))


class Migration(migrations.Migration):
    dependencies = [("steady", "0001_initial")]
    operations = [migrations.RunPython(wait, migrations.RunPython.noop)]
