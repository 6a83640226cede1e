from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            name="Pair",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("left", models.IntegerField()),
                ("right", models.IntegerField()),
            ],
            options={"unique_together": {("left", "right")}},
        ),
    ]
