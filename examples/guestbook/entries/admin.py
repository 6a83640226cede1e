from django.contrib import admin

from entries.models import Entry


@admin.register(Entry)
class EntryAdmin(admin.ModelAdmin):
    list_display = ["name", "message_start", "attachment", "created", "published"]
    list_editable = ["published"]
    list_filter = ["published", "created"]
    search_fields = ["name", "email", "message"]
    readonly_fields = ["created"]
    date_hierarchy = "created"

    @admin.display(description="message")
    def message_start(self, entry: Entry) -> str:
        return entry.message[:60]
