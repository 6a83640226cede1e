"""The manage.py that startproject writes, but for the line that it prints."""

import os
import sys


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    from django.core.management import execute_from_command_line

    print("shop: manage.py is running")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
