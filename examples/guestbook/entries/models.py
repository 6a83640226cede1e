from pathlib import PurePosixPath

from django.db import models


class Entry(models.Model):
    name = models.CharField(max_length=80)
    message = models.TextField(max_length=2000)
    created = models.DateTimeField(auto_now_add=True, editable=False)

    # Columns added after the first release have a default in the database too:
    # while a deployment migrates, the previous release still inserts rows without them.
    email = models.EmailField("e-mail", blank=True, default="", db_default="")
    attachment = models.FileField(upload_to="uploads/%Y/", max_length=255, blank=True, default="", db_default="")
    published = models.BooleanField(default=True, db_default=True)

    class Meta:
        ordering = ["-created", "-pk"]
        verbose_name_plural = "entries"
        indexes = [models.Index(fields=["-created"], name="entry_created_idx")]
        constraints = [models.CheckConstraint(condition=~models.Q(message=""), name="entry_message_not_empty")]

    def __str__(self) -> str:
        return f"{self.name}, {self.created:%Y-%m-%d}"

    @property
    def attachment_name(self) -> str:
        return PurePosixPath(self.attachment.name).name
