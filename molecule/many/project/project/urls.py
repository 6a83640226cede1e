"""Pages of an app in the hands of an attacker."""

import json
import os
import time
from pathlib import Path

import attempts
from django.http import HttpResponse, JsonResponse
from django.urls import path

HOARD = []


def show(request):
    return HttpResponse("well")


def attempt(request):
    """Try to reach an app, from within a worker."""
    return JsonResponse(attempts.outcomes(*json.loads(request.GET["apps"])))


def leak(request):
    """Take memory until somebody puts an end to it, or there is as much as was asked for."""
    for _megabyte in range(int(request.GET["mb"])):
        HOARD.append(os.urandom(1 << 20))
    return HttpResponse("nobody minded")


def fork(request):
    """Start processes that never rest, until it is no longer possible."""
    seconds, children = float(request.GET["seconds"]), []
    try:
        while len(children) < 5000:
            children.append(os.fork())
            if not children[-1]:
                busy(seconds)
    except OSError as error:
        return JsonResponse({"children": len(children), "error": str(error), "tasks": tasks()})
    return JsonResponse({"children": len(children), "error": "", "tasks": tasks()})


def busy(seconds):
    os.closerange(3, 1024)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    os._exit(0)


def tasks():
    """The processes and threads of this app."""
    mine = [entry for entry in Path("/proc").glob("[0-9]*") if entry.stat().st_uid == os.getuid()]
    return sum(len(list((entry / "task").glob("*"))) for entry in mine)


def sleep(request):
    time.sleep(float(request.GET["seconds"]))
    return HttpResponse("slept")


urlpatterns = [
    path("", show),
    path("attempt", attempt),
    path("leak", leak),
    path("fork", fork),
    path("sleep", sleep),
]
