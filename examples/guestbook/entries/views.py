import math
import time

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from guestbook.release import describe, release_id

from entries.forms import EntryForm
from entries.models import Entry

PAGE_SIZE = 100
MAX_SLEEP = 10.0


@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        form = EntryForm(request.POST, request.FILES)
        if form.is_valid():
            form.save()
            messages.success(request, "Thank you for signing the guestbook.")
            return redirect("index")
    else:
        form = EntryForm()
    published = Entry.objects.filter(published=True)
    return render(request, "entries/index.html", {"form": form, "entries": published[:PAGE_SIZE]})


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    # A table of ours, not "SELECT 1": a database without migrations is not healthy.
    Entry.objects.exists()
    return HttpResponse("ok", content_type="text/plain")


@never_cache
@require_safe
def release(request: HttpRequest) -> JsonResponse:
    return JsonResponse(describe())


@never_cache
@require_safe
def slow(request: HttpRequest) -> HttpResponse:
    """Hold a worker for a while; load tests use this to see that a reload drops no request."""
    try:
        seconds = float(request.GET.get("seconds", "1"))
    except ValueError:
        return HttpResponseBadRequest("seconds must be a number", content_type="text/plain")
    if math.isnan(seconds) or seconds < 0:
        return HttpResponseBadRequest("seconds must not be negative", content_type="text/plain")
    time.sleep(min(seconds, MAX_SLEEP))
    return HttpResponse(release_id(), content_type="text/plain")
