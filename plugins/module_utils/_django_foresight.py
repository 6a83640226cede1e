# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What django_check can say of the other modules' work while the project is loaded; see _django_runner.

Each says true where it is not sure: that module then finds out for itself, and has the better message.
"""

from __future__ import annotations

from contextlib import suppress

from ._django_collectstatic import is_untouched
from ._django_migration_records import last_of_all, names_of_files, recorded
from ._django_migration_session import connect

# The defaults of django_collectstatic, but for what the job says.
_COLLECT = {"clear": False, "link": False, "ignore": [], "prune": False, "skip_checks": True, "check_mode": True}


def foresee(job: dict) -> dict:
    """Whether each of the wanted modules would have something to do, with its default options."""
    found = {}
    for name in job["foresee"]:
        found[name] = True
        with suppress(Exception):
            found[name] = _ANSWERS[name](job)
    return found


def to_migrate(_job: dict) -> bool:
    """Whether there is a default database, and it lacks a migration of the project."""
    from django.conf import settings

    engine = settings.DATABASES.get("default", {}).get("ENGINE", "")
    # Django puts a dummy where a project has none.
    return engine not in ("", "django.db.backends.dummy") and last_of_all(applied()) is None


def unknown_migrations(_job: dict) -> bool:
    """Whether the default database may have a migration that the project does not have; squashed ones may look so."""
    found = names_of_files()
    return found is None or not applied().keys() <= {key for keys in found.values() for key in keys}


def applied() -> dict:
    """The migrations that the default database has."""
    return recorded(connect("default", True)[0])


def to_collect(job: dict) -> bool:
    """Whether the project collects static files, and one is another now, or what was collected of it."""
    from django.apps import apps

    return apps.is_installed("django.contrib.staticfiles") and not is_untouched(job | _COLLECT)


_ANSWERS = {"migrate": to_migrate, "unknown_migrations": unknown_migrations, "collectstatic": to_collect}
