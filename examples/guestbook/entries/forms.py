from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile

from entries.models import Entry

# File systems count bytes (255 a name), Django counts characters; a Korean one takes three bytes.
# The rest is room for the suffix that Django adds to a name already taken.
MAX_NAME_BYTES = 240


class EntryForm(forms.ModelForm):
    class Meta:
        model = Entry
        fields = ["name", "email", "message", "attachment"]
        labels = {"email": "E-mail (optional)", "attachment": "Attachment (optional)"}
        help_texts = {"email": "Never shown to visitors."}
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name"}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
            "message": forms.Textarea(attrs={"rows": 5}),
            "attachment": forms.FileInput(),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, label_suffix="", **kwargs)

    def clean_attachment(self) -> UploadedFile | None:
        attachment = self.cleaned_data["attachment"]
        if attachment and len(attachment.name.encode()) > MAX_NAME_BYTES:
            raise ValidationError("The name of this file is too long.")
        return attachment
