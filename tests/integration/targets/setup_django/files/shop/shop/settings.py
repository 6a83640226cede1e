"""Settings of a small shop. All that a test may want to be different comes from the environment:

SECRET_KEY, DEBUG, ALLOWED_HOSTS    as usual; without ALLOWED_HOSTS there are none
SHOP_DATABASE, SHOP_OTHER_DATABASE  paths of SQLite files
STATIC_ROOT                         unset unless given
SHOP_STATIC                         plain (default), manifest, outside, placed, memory, none
SHOP_STATIC_DIRS                    folders of more static files, separated by commas
SHOP_PLACE                          folder of the storage "placed"
SHOP_MESSAGES                       levels of messages of the system checks, see catalog/checks.py
SHOP_ALIASES                        1 has a system check tell which databases it was given
SHOP_ADMIN                          1 adds the admin and its static files
SHOP_APPS                           more apps, separated by commas
SHOP_MOOD                           what goes wrong, see shop/moods.py
SHOP_DUMP                           file that gets the environment as JSON
"""

import json
import os
from pathlib import Path

from shop import moods

print("shop: the settings are loading; this line is no JSON: {")

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = os.environ.get("DEBUG") == "true"
ALLOWED_HOSTS = [host for host in os.environ.get("ALLOWED_HOSTS", "").split(",") if host]

INSTALLED_APPS = ["catalog"]
if os.environ.get("SHOP_STATIC") != "none":
    INSTALLED_APPS += ["django.contrib.staticfiles"]
if os.environ.get("SHOP_ADMIN") == "1":
    INSTALLED_APPS += [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
    ]
INSTALLED_APPS += [app for app in os.environ.get("SHOP_APPS", "").split(",") if app]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if os.environ.get("SHOP_ADMIN") == "1":
    MIDDLEWARE += [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", BASE_DIR / "db.sqlite3"),
    },
    "other": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_OTHER_DATABASE", BASE_DIR / "other.sqlite3"),
    },
}

STATIC_URL = "/static/"
STATICFILES_DIRS = [folder for folder in os.environ.get("SHOP_STATIC_DIRS", "").split(",") if folder]
if os.environ.get("STATIC_ROOT"):
    STATIC_ROOT = os.environ["STATIC_ROOT"]
_STORAGES = {
    "plain": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "manifest": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
    "outside": {"BACKEND": "shop.storages.OutsideManifestStorage"},
    "placed": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage",
        "OPTIONS": {"location": os.environ.get("SHOP_PLACE", "")},
    },
    "memory": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": _STORAGES.get(os.environ.get("SHOP_STATIC"), _STORAGES["plain"]),
}

if os.environ.get("SHOP_DUMP"):
    Path(os.environ["SHOP_DUMP"]).write_text(json.dumps(dict(os.environ)), encoding="utf-8")

moods.act("settings")
