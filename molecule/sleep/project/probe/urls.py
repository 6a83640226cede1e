import os
import time
from pathlib import Path

from django.conf import settings
from django.core import signing
from django.http import HttpResponse
from django.urls import path

if "BROKEN" in os.environ:
    raise RuntimeError("broken on purpose")


def show(_request):
    return HttpResponse(os.environ.get("MARK", "1"))


def slow(request):
    time.sleep(float(request.GET["seconds"]))
    return HttpResponse("slept")


def note(_request):
    """What visitors leave behind, and something that only this app can sign."""
    notes = Path(settings.MEDIA_ROOT, "é ü 한글.txt")
    with open(notes, "a", encoding="utf-8") as handle:
        handle.write("x")
    return HttpResponse(f"{notes.stat().st_size} {signing.Signer().sign('visitor')}")


urlpatterns = [path("", show), path("slow", slow), path("note", note)]
