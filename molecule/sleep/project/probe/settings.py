"""A small project with a file that grows with its visitors, and a secret."""

import os

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
ROOT_URLCONF = "probe.urls"
WSGI_APPLICATION = "probe.wsgi.application"
USE_TZ = True
MEDIA_ROOT = os.environ["MEDIA_ROOT"]
MEDIA_URL = "media/"
