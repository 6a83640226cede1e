from os import environ

SECRET_KEY = environ["SECRET_KEY"]
ALLOWED_HOSTS = ["www.example.com"]
STATIC_ROOT = environ["TARGET"] + "/static"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": environ["TARGET"] + "/db.sqlite3"}}
