import time

from django.core.management.base import BaseCommand

from tasks.record import SHARED, line


class Command(BaseCommand):
    """A job that lasts until the test has it end."""

    def handle(self, *args, **options):
        line("hold", "began")
        while not (SHARED / "let-go").exists():
            time.sleep(0.1)
        line("hold", "ended")
