"""Celery's app, by which `celery -A tasks` finds it, and its tasks."""

import os
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "queue_site.settings")

from celery import Celery

from tasks.record import line, live
from tasks.record import write as write_files

VERSION = "v1"

celery = Celery("tasks")
celery.config_from_object("django.conf:settings", namespace="CELERY")


@celery.task(name="tasks.note")
def note(key):
    """Say by a line in a file in which release this runs."""
    line(key, "ended")


@celery.task(name="tasks.outlast")
def outlast(key):
    """A task that is at work when another release goes live, and for some seconds after that."""
    line(key, "began")
    while live() == os.environ["EMPEROR_RELEASE"]:
        time.sleep(0.1)
    time.sleep(10)
    line(key, "ended")


@celery.task(name="tasks.write")
def write():
    """As all the other kinds of processes do it."""
    write_files("celery")


@celery.task(name="tasks.tick")
def tick():
    """What the scheduler starts."""
    line("tick", "ended")
