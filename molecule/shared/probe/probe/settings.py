"""The smallest project that can be deployed: no database, no static files, one page that shows its environment."""

import os

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
ROOT_URLCONF = "probe.urls"
WSGI_APPLICATION = "probe.wsgi.application"
USE_TZ = True
