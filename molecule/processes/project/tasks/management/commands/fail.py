import sys

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    def handle(self, *args, **options):
        print("this job cannot be done", flush=True)
        sys.exit(3)
