#!/usr/bin/env python
import os

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "probe.settings")
    import sys

    execute_from_command_line(sys.argv)
