"""Read settings from environment variables, with the standard library only."""

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"The environment variable {name} must be set.")
    return value


def flag(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in {"1", "true", "yes", "on"}


def comma_list(name: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]


def database(name: str) -> dict[str, Any]:
    # Messages never quote the URL: it holds a password, and they end up in logs.
    url = urlsplit(required(name))
    if url.scheme == "sqlite":
        return _sqlite(name, unquote(url.path))
    if url.scheme in {"postgres", "postgresql"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(url.path.removeprefix("/")),
            "USER": unquote(url.username or ""),
            "PASSWORD": unquote(url.password or ""),
            "HOST": unquote(url.hostname or ""),
            "PORT": url.port or "",
            "OPTIONS": dict(parse_qsl(url.query)),
        }
    raise ImproperlyConfigured(f"{name} must start with sqlite:// or postgres://.")


def _sqlite(name: str, path: str) -> dict[str, Any]:
    if not path.startswith("//"):
        # A relative file would depend on the directory each process was started in.
        raise ImproperlyConfigured(f"{name} needs an absolute path, with four slashes: sqlite:////srv/app/db.sqlite3")
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path.removeprefix("/"),
        "OPTIONS": {
            # Several workers share the file. WAL lets them read while one writes; taking the write lock at BEGIN
            # makes the others wait for up to `timeout` seconds instead of failing halfway through a transaction.
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
