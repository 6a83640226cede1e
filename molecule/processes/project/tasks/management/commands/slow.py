import time

from django.core.management.base import BaseCommand

from tasks.record import line


class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("seconds", type=float)

    def handle(self, *args, seconds, **options):
        line("slow", "began")
        time.sleep(seconds)
        line("slow", "ended")
