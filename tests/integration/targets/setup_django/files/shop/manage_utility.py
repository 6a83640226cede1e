"""A manage.py that goes around execute_from_command_line; a test puts it in the place of manage.py."""

import os
import sys


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    from django.core.management import ManagementUtility

    ManagementUtility(sys.argv).execute()


if __name__ == "__main__":
    main()
