"""A project that shows what Nginx tells Django. Settings come from the environment, URLs are those of startproject."""

import os
from pathlib import Path

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
CSRF_TRUSTED_ORIGINS = os.environ["CSRF_TRUSTED_ORIGINS"].split(",")
SECURE_SSL_REDIRECT = "SECURE_SSL_REDIRECT" in os.environ
CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
CSRF_COOKIE_PATH = os.environ.get("CSRF_COOKIE_PATH", "/")
ROOT_URLCONF = "probe.urls"
WSGI_APPLICATION = "probe.wsgi.application"
INSTALLED_APPS = ["django.contrib.staticfiles", "probe"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
USE_TZ = True
STATIC_URL = "static/"
# Inside the sources, one of them relative, as tutorials have them.
STATIC_ROOT = "public/static"
MEDIA_URL = "media/"
MEDIA_ROOT = Path(__file__).resolve().parents[1] / "media"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
