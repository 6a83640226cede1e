import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import SimpleTestCase, TestCase, override_settings
from guestbook import env

from entries.models import Entry


class SiteTests(TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        root = tempfile.TemporaryDirectory()
        cls.addClassCleanup(root.cleanup)
        roots = override_settings(STATIC_ROOT=f"{root.name}/static", MEDIA_ROOT=f"{root.name}/media")
        roots.enable()
        cls.addClassCleanup(roots.disable)
        # The pages look their hashed file names up in the manifest that this writes, as in production.
        call_command("collectstatic", interactive=False, verbosity=0)

    def test_empty_list(self) -> None:
        self.assertContains(self.client.get("/"), "No entries yet.")

    def test_list_is_newest_first_without_unpublished(self) -> None:
        for name in ("Ada", "Brook"):
            Entry.objects.create(name=name, message="Hello")
        Entry.objects.create(name="Spam", message="Buy now", published=False)
        response = self.client.get("/")
        self.assertEqual([entry.name for entry in response.context["entries"]], ["Brook", "Ada"])

    def test_post_with_attachment(self) -> None:
        upload = SimpleUploadedFile("é ü 한글.txt", "안녕".encode())
        response = self.client.post("/", {"name": "Zoë", "message": "<b>Hi</b>", "attachment": upload}, follow=True)
        self.assertRedirects(response, "/")
        self.assertContains(response, "&lt;b&gt;Hi&lt;/b&gt;")

        entry = Entry.objects.get()
        self.assertEqual(entry.attachment_name, "é_ü_한글.txt")
        self.assertEqual(Path(entry.attachment.path).read_text("utf-8"), "안녕")
        self.assertContains(response, f'href="/media/{quote(entry.attachment.name)}">é_ü_한글.txt</a>')

    def test_post_refuses_an_attachment_name_that_no_disk_takes(self) -> None:
        upload = SimpleUploadedFile("한" * 84 + ".txt", b"x")
        response = self.client.post("/", {"name": "Zoë", "message": "Hi", "attachment": upload})
        self.assertFormError(response.context["form"], "attachment", "The name of this file is too long.")

    def test_post_needs_a_csrf_token(self) -> None:
        client = self.client_class(enforce_csrf_checks=True)
        self.assertEqual(client.post("/", {"name": "Eve", "message": "Hi"}).status_code, 403)

    def test_stylesheet_refers_to_hashed_files(self) -> None:
        (stylesheet,) = Path(settings.STATIC_ROOT, "entries").glob("style.*.css")
        self.assertRegex(stylesheet.read_text(), r'url\("waves\.[0-9a-f]{12}\.svg"\)')

    def test_healthz(self) -> None:
        with self.assertNumQueries(1):
            response = self.client.get("/healthz")
        self.assertEqual((response.content, response["Content-Type"]), (b"ok", "text/plain"))

    @patch.dict(os.environ, {"EMPEROR_RELEASE": "20260102T030405Z", "EMPEROR_REVISION": "abc123"})
    def test_release(self) -> None:
        answer = self.client.get("/release").json()
        self.assertEqual((answer["release"], answer["revision"]), ("20260102T030405Z", "abc123"))
        self.assertEqual((answer["uid"], answer["pid"]), (os.getuid(), os.getpid()))
        self.assertContains(self.client.get("/"), "20260102T030405Z")

    @patch("entries.views.time.sleep")
    def test_slow_has_a_limit(self, sleep) -> None:
        self.assertEqual(self.client.get("/slow?seconds=3600").status_code, 200)
        sleep.assert_called_once_with(10)
        for nonsense in ("nan", "-1", "soon"):
            self.assertEqual(self.client.get("/slow", {"seconds": nonsense}).status_code, 400)

    def test_migrations_are_complete(self) -> None:
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)

    def test_admin(self) -> None:
        self.assertRedirects(self.client.get("/admin/"), "/admin/login/?next=/admin/")


class EnvironmentTests(SimpleTestCase):
    def test_missing_secret_key(self) -> None:
        environ = {name: value for name, value in os.environ.items() if name != "SECRET_KEY"}
        command = [sys.executable, "manage.py", "check"]
        options = {"cwd": settings.BASE_DIR, "env": environ, "capture_output": True, "text": True}
        result = subprocess.run(command, check=False, **options)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("ImproperlyConfigured: The environment variable SECRET_KEY must be set.", result.stderr)

    @patch.dict(os.environ, {"URL": "sqlite:////srv/my%20app/db.sqlite3"})
    def test_sqlite_url(self) -> None:
        self.assertEqual(env.database("URL")["NAME"], "/srv/my app/db.sqlite3")

    @patch.dict(os.environ, {"URL": "postgres://web:p%40ss%2Fword@db.example:5433/guest%20book?sslmode=require"})
    def test_postgres_url(self) -> None:
        expected = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "guest book",
            "USER": "web",
            "PASSWORD": "p@ss/word",
            "HOST": "db.example",
            "PORT": 5433,
            "OPTIONS": {"sslmode": "require"},
        }
        self.assertEqual(env.database("URL"), expected)

    def test_other_database_urls(self) -> None:
        for url in ("sqlite:///relative.sqlite3", "mysql://web:secret@db/name", ""):
            with self.subTest(url), patch.dict(os.environ, {"URL": url}), self.assertRaises(ImproperlyConfigured) as e:
                env.database("URL")
            self.assertNotIn("secret", str(e.exception))
