import os
from pathlib import Path

import django
from django.http import JsonResponse
from django.urls import path

MARK = Path(__file__).parent.parent / "MARK"


def show(request):
    return JsonResponse({"mark": MARK.read_text(), "django": django.__version__, "environment": dict(os.environ)})


urlpatterns = [path("", show)]
