"""A project that has work done by Celery."""

import os

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
ROOT_URLCONF = "queue_site.urls"
WSGI_APPLICATION = "queue_site.wsgi.application"
INSTALLED_APPS = ["tasks"]
USE_TZ = True
TIME_ZONE = "UTC"

CELERY_BROKER_URL = os.environ["CELERY_BROKER_URL"]
# A task is done when it has been acknowledged at its end, so one that a kill interrupts is done again.
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BEAT_SCHEDULE = {"tick": {"task": "tasks.tick", "schedule": 2.0}}
