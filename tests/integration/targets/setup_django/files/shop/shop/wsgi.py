import os

from django.core.wsgi import get_wsgi_application

from shop import moods

moods.act("wsgi")

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
application = get_wsgi_application()
