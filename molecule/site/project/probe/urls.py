import os
import time
from pathlib import Path

from django.http import HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import path, reverse

SEEN = ("REMOTE_ADDR", "SERVER_PORT", "SCRIPT_NAME", "PATH_INFO")
SEEN += ("HTTP_X_REQUEST_ID", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST")


def show(request, rest=""):
    seen = {name: request.META.get(name) for name in SEEN}
    seen |= {"secure": request.is_secure(), "url": request.build_absolute_uri(), "query": request.GET.dict()}
    seen |= {"here": reverse("show"), "style": static("probe/style.css"), "pid": os.getppid()}
    return JsonResponse(seen | {"release": os.environ["EMPEROR_RELEASE"]})


def own_headers(_request):
    headers = {"Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=1", "X-Request-ID": "mine"}
    return HttpResponse("own", headers=headers)


def form(request):
    return HttpResponse("sent" if request.method == "POST" else get_token(request))


def slow(request):
    time.sleep(float(request.GET["seconds"]))
    return HttpResponse("slow")


def moved(_request):
    return redirect("show")


def protected(_request, name):
    """To whom it may be given is the app's business; this one gives it to everybody who asks."""
    folder = Path(os.environ["SENDFILE_ROOT"])
    folder.joinpath(name).write_bytes(bytes(range(200)))
    return HttpResponse(
        content_type="application/pdf", headers={"X-Accel-Redirect": f"{os.environ['SENDFILE_URL']}{name}"}
    )


urlpatterns = [
    path("", show, name="show"),
    path("show/<path:rest>/", show),
    path("own-headers", own_headers),
    path("form", form),
    path("moved", moved),
    path("slow", slow),
    path("protected-file/<name>", protected),
]
