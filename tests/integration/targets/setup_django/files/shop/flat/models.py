"""An app without migrations, as old ones are."""

from django.db import models


class Label(models.Model):
    text = models.CharField(max_length=20)
