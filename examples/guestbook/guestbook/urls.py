from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import path
from entries import views

urlpatterns = [
    path("", views.index, name="index"),
    path("healthz", views.healthz, name="healthz"),
    path("release", views.release, name="release"),
    path("slow", views.slow, name="slow"),
    path("admin/", admin.site.urls),
    # Adds nothing unless DEBUG is on: in production Nginx serves the uploads.
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
