"""A manage.py that hands its status over by sys.exit, as many do; a test puts it in the place of manage.py."""

import os
import sys


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    from django.core.management import execute_from_command_line

    return execute_from_command_line(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
