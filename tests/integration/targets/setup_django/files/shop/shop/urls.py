import os

from django.urls import path

from shop import moods

moods.act("urls")

urlpatterns = []
if os.environ.get("SHOP_ADMIN") == "1":
    from django.contrib import admin

    urlpatterns.append(path("admin/", admin.site.urls))
