from django.core.management.base import BaseCommand

import tasks


class Command(BaseCommand):
    """Queue a task: delay NAME [ARGUMENT ...], as text or as a number."""

    def add_arguments(self, parser):
        parser.add_argument("name")
        parser.add_argument("arguments", nargs="*")

    def handle(self, *args, name, arguments, **options):
        given = [float(one) if one.replace(".", "").isdigit() else one for one in arguments]
        getattr(tasks, name).delay(*given)
