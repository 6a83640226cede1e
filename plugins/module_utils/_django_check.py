# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: for this collection's modules only; it may change in any release.

"""What django_check does inside the app's interpreter; see _django_runner."""

from __future__ import annotations

import importlib
import os
import sys

SECURITY_MIDDLEWARE = "django.middleware.security.SecurityMiddleware"


def run(job: dict) -> dict:
    """Run the system checks, import the WSGI callable and tell what the settings say."""
    from django.conf import settings
    from django.core import checks

    refuse_unknown("tags", job["tags"], checks.registry.registry.tags_available(job["deploy"]))
    refuse_unknown("databases", job["databases"], settings.DATABASES)
    messages = checks.run_checks(
        tags=job["tags"] or None, include_deployment_checks=job["deploy"], databases=job["databases"] or None
    )
    if job["wsgi"]:
        import_callable(job["wsgi"])
    return {
        "messages": [
            {
                "id": message.id or "",
                "level": checks_level(message.level),
                "object": "" if message.obj is None else str(message.obj),
                "msg": str(message.msg),
                "hint": str(message.hint or ""),
            }
            for message in messages
            if not message.is_silenced()
        ],
        "project": project_facts(settings),
        **({"foreseen": foresee(job)} if job["foresee"] else {}),
    }


def foresee(job: dict) -> dict:
    """What is there for the other modules to do; its file is only compiled, and sent, when somebody wants to know."""
    from ._django_foresight import foresee

    return foresee(job)


class UnknownName(Exception):
    """An option names something that the project does not have."""

    explained = True


def refuse_unknown(option: str, wanted: list, known) -> None:
    """Django itself notices an unknown alias only where one of the checks comes to use it."""
    for name in wanted:
        if name not in known:
            raise UnknownName(f"{option}: the project has no {name}; it has {', '.join(sorted(known)) or 'none'}")


def import_callable(name: str) -> None:
    """Import the callable for WSGI or ASGI as a server does."""
    module, _separator, attribute = name.partition(":")
    found = importlib.import_module(module)
    attribute = attribute or "application"
    if not callable(getattr(found, attribute, None)):
        what = "has no" if not hasattr(found, attribute) else "cannot be called at"
        raise UnknownName(f"wsgi: the module {module} {what} {attribute}; give module:attribute of the callable")


def key_weakness(key: str) -> str:
    """Why a secret key can be guessed; empty for a good one.

    The bounds are far below those of security.W009, which warns of good keys too, for example of 32 hexadecimal digits.
    """
    if key.startswith("django-insecure-"):
        return "is the public one that startproject wrote"
    if len(key) < 20:
        return f"has {len(key)} characters, fewer than 20"
    if len(set(key)) < 5:
        return f"has {len(set(key))} different characters, fewer than 5"
    return ""


def checks_level(level: int) -> str:
    """Django's numeric level as the name that its documentation uses."""
    for name, bound in (("critical", 50), ("error", 40), ("warning", 30), ("info", 20)):
        if level >= bound:
            return name
    return "debug"


def url_below(settings, name: str) -> str | None:
    """A URL of the settings as the app has it where it is below a path of a site, which it learns with each request."""
    prefix = os.environ.get("FORCE_SCRIPT_NAME", "")
    written = getattr(sys.modules.get(os.environ["DJANGO_SETTINGS_MODULE"]), name, None)
    if prefix and isinstance(written, str) and not written.startswith(("/", "http://", "https://")):
        return f"{prefix}/{written}"
    return getattr(settings, name)


def absolute(path) -> str:
    """A path of the settings, which Django takes from the folder of the project where it is relative.

    Links above it are resolved, for what they lead to is not part of the sources; it may be one itself.
    """
    above, last = os.path.split(os.path.abspath(path or "/"))
    return os.path.join(os.path.realpath(above), last) if path else ""


def sqlite_file(database: dict) -> str:
    """The file of an SQLite database; for one in memory and for those on servers no path."""
    name = str(database.get("NAME") or "")
    if "sqlite" not in database.get("ENGINE", ""):
        return ""
    # A folder of a release may be a link to one that outlives it.
    return name if not name or name.startswith((":memory:", "file:")) else os.path.realpath(name)


def project_facts(settings) -> dict:
    """What a web server and an operator need to know of a project's settings; nothing secret."""
    import django
    from django.apps import apps

    weakness = key_weakness(str(settings.SECRET_KEY))
    return {
        "django_version": django.get_version(),
        "python_version": ".".join(str(part) for part in sys.version_info[:3]),
        "settings": os.environ["DJANGO_SETTINGS_MODULE"],
        "wsgi_application": getattr(settings, "WSGI_APPLICATION", None),
        "debug": bool(settings.DEBUG),
        "insecure_key": bool(weakness),
        "insecure_key_reason": weakness,
        "allowed_hosts": [str(host) for host in settings.ALLOWED_HOSTS],
        "static_url": url_below(settings, "STATIC_URL"),
        "static_root": absolute(settings.STATIC_ROOT),
        "media_url": url_below(settings, "MEDIA_URL"),
        "media_root": absolute(settings.MEDIA_ROOT),
        "ssl_redirect": bool(settings.SECURE_SSL_REDIRECT and SECURITY_MIDDLEWARE in settings.MIDDLEWARE),
        "staticfiles": apps.is_installed("django.contrib.staticfiles"),
        "databases": [
            {
                "alias": alias,
                "engine": database.get("ENGINE", ""),
                "name": sqlite_file(database),
            }
            for alias, database in settings.DATABASES.items()
        ],
    }
