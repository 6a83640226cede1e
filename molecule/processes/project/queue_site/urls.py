import json

import tasks
from django.http import HttpResponse
from django.urls import path
from tasks.record import write


def home(request):
    return HttpResponse(tasks.VERSION)


def write_here(request):
    return HttpResponse(json.dumps(write("uwsgi")))


urlpatterns = [path("", home), path("write", write_here)]
