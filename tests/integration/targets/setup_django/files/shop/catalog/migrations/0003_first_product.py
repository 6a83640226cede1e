from django.db import migrations


def products(apps, schema_editor):
    return apps.get_model("catalog", "Product").objects.using(schema_editor.connection.alias)


def forwards(apps, schema_editor):
    print("catalog: selling the first product")
    products(apps, schema_editor).create(name="Tea", slug="tea", price=3)


def backwards(apps, schema_editor):
    products(apps, schema_editor).filter(slug="tea").delete()


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_product_slug")]
    operations = [migrations.RunPython(forwards, backwards)]
