from django.core.management.base import BaseCommand

from tasks.record import write


class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("kind")

    def handle(self, *args, kind, **options):
        write(kind)
