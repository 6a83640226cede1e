from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("oneway", "0001_initial")]
    operations = [migrations.RunPython(migrations.RunPython.noop)]
