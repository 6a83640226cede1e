from django.apps import AppConfig
from shop import moods


class CatalogConfig(AppConfig):
    name = "catalog"

    def ready(self):
        from catalog import checks  # noqa: F401

        print("catalog: ready")
        moods.act("ready")
