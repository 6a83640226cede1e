"""Write the two Django projects that are measured: one with many static files, one with many migrations.

The same numbers give the same files, to the byte.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

APPS = 12

MANAGE = """#!/usr/bin/env python
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""

SETTINGS = """import os

SECRET_KEY = "benchmark"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
{apps}]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {{
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        }},
    }},
]
ROOT_URLCONF = "site_urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TARGET = os.environ["BENCHMARK_TARGET"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": TARGET + ".sqlite3"}}}}
STATIC_URL = "/static/"
STATIC_ROOT = TARGET + "-static"
STORAGES = {{
    "default": {{"BACKEND": "django.core.files.storage.FileSystemStorage"}},
    "staticfiles": {{"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}},
}}
"""


def write_project(folder: Path, static_files: int = 0, migrations: int = 0) -> None:
    """Write a project with that many static files and migrations, spread over its apps."""
    names = [f"app{number:02}" for number in range(APPS)]
    for number, name in enumerate(names):
        app = folder / name
        write(app / "__init__.py", "")
        write_static(app / "static" / name, share(static_files, number), random.Random(number))
        write_migrations(app, name, share(migrations, number))
    write(folder / "manage.py", MANAGE)
    (folder / "manage.py").chmod(0o755)  # django_manage needs that
    write(folder / "site_settings.py", SETTINGS.format(apps="".join(f'    "{name}",\n' for name in names)))
    write(folder / "site_urls.py", "urlpatterns = []\n")


def share(total: int, number: int) -> int:
    """What one app has of a total."""
    return total // APPS + (number < total % APPS)


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


# Static files.


def write_static(folder: Path, count: int, chance: random.Random) -> None:
    """Of ten files six are pictures, two scripts, one a font and one a style sheet that names four pictures."""
    for number in range(count):
        kind = (
            "css" if number % 10 == 9 else ("png", "svg", "png", "js", "svg", "png", "woff2", "js", "svg")[number % 10]
        )
        path = folder / f"part{number // 100:02}" / f"file{number:04}.{kind}"
        if kind == "css":
            pictures = [f"file{number - back:04}.{('svg', 'png')[back == 4]}" for back in (1, 4, 5, 8)]
            content = "".join(
                f'.c{chance.randrange(10**6)} {{ background: url("{pictures[rule % 4]}"); margin: {rule}px; }}\n'
                for rule in range(chance.randrange(20, 200))
            )
        elif kind == "js":
            content = "".join(f"function f{line}() {{ return {chance.random()}; }}\n" for line in range(200))
        elif kind == "svg":
            points = " ".join(f"{chance.randrange(999)},{chance.randrange(999)}" for _ in range(chance.randrange(200)))
            content = f'<svg xmlns="http://www.w3.org/2000/svg"><polyline points="{points}"/></svg>\n'
        else:
            content = chance.randbytes(chance.randrange(1000, 20000))
        write(path, content)


# Migrations.


@dataclass
class Model:
    """What the migrations written so far make of a model."""

    name: str
    fields: dict[str, str]
    indexes: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    verbose_name: str = ""

    def text(self) -> str:
        meta = {"indexes": f"[{', '.join(self.indexes)}]", "constraints": f"[{', '.join(self.constraints)}]"}
        meta |= {"verbose_name": repr(self.verbose_name)} if self.verbose_name else {}
        lines = [f"class {self.name}(models.Model):"]
        lines += [f"    {name} = {declaration}" for name, declaration in self.fields.items()]
        lines += ["", "    class Meta:", *(f"        {name} = {value}" for name, value in meta.items())]
        return "\n".join(lines) + "\n"


def write_migrations(app: Path, label: str, count: int) -> None:
    """Write migrations one after another, and the models that they end in."""
    models: list[Model] = []
    previous = ""
    for number, (name, operation) in zip(range(1, count + 1), operations(label, models), strict=False):
        name = f"{number:04}_{name}"
        needs = f'("{label}", "{previous}")' if previous else '("auth", "0001_initial")'
        write(
            app / "migrations" / f"{name}.py",
            f"from django.db import migrations, models\n\n\n"
            f"{FILL.format(label=label, model=models[-1].name) if 'RunPython' in operation else ''}"
            f"class Migration(migrations.Migration):\n"
            f"    dependencies = [{needs}]\n    operations = [{operation}]\n",
        )
        previous = name
    write(app / "migrations" / "__init__.py", "")
    write(app / "models.py", "\n\n".join(["from django.db import models\n", *(model.text() for model in models)]))


FILL = """def fill(apps, schema_editor):
    model = apps.get_model("{label}", "{model}")
    model.objects.bulk_create(model(name=f"row {{number}}") for number in range(20))
    model.objects.filter(name__endswith="7").update(rank=7)


"""


# Django adds it to models, and makemigrations writes it out.
KEY = 'models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")'


def operations(label: str, models: list[Model]) -> Iterator[tuple[str, str]]:
    """Names and operations of migrations as a project collects them over the years; keeps count in the models."""
    while True:
        fields = {"name": "models.CharField(max_length=50)"}
        if models:
            parent = f'"{label}.{models[-1].name}"'
            fields["parent"] = f"models.ForeignKey({parent}, null=True, on_delete=models.CASCADE)"
        models.append(model := Model(f"Item{len(models):02}", fields))
        name = model.name.lower()
        listed = ", ".join(f'("{field}", {declaration})' for field, declaration in [("id", KEY), *fields.items()])
        yield f"create_{name}", f'migrations.CreateModel("{model.name}", fields=[{listed}])'

        def add(field: str, declaration: str, model: Model = model) -> tuple[str, str]:
            verb = "Alter" if field in model.fields else "Add"
            model.fields[field] = declaration
            return (
                f"{verb.lower()}_{model.name.lower()}_{field}",
                f'migrations.{verb}Field("{model.name.lower()}", "{field}", {declaration})',
            )

        yield add("rank", "models.IntegerField(default=0)")
        yield add("name", "models.CharField(max_length=200)")
        model.indexes.append(f'models.Index(fields=["name", "rank"], name="{label}_{name}_index")')
        yield f"index_{name}", f'migrations.AddIndex("{name}", {model.indexes[-1]})'
        yield add("note", 'models.TextField(default="", blank=True)')
        yield f"fill_{name}", "migrations.RunPython(fill, migrations.RunPython.noop)"
        yield add("rank", "models.IntegerField(default=0, db_index=True)")
        yield add("created", "models.DateTimeField(null=True)")
        model.fields["remark"] = model.fields.pop("note")
        yield f"rename_{name}_note", f'migrations.RenameField("{name}", "note", "remark")'
        model.constraints.append(
            f'models.UniqueConstraint(fields=["name", "created"], name="{label}_{name}_unique")',
        )
        yield f"unique_{name}", f'migrations.AddConstraint("{name}", {model.constraints[-1]})'
        model.verbose_name = f"item {label}"
        yield f"name_{name}", f'migrations.AlterModelOptions("{name}", {{"verbose_name": {model.verbose_name!r}}})'
        del model.fields["remark"]
        yield f"remove_{name}_remark", f'migrations.RemoveField("{name}", "remark")'
