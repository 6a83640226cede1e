#!/usr/bin/env python3
"""Make every kind of source that a user may have of the project in probe/, and what is needed to serve them.

    make_sources.py FOLDER

FOLDER gets git/probe.git, archives/, simple/ (a package index), ca.pem, server.pem, key and key.pub (a deploy key),
and facts.json with the commits. Each source has its name in a file MARK, so that a test can tell them apart.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROBE = Path(__file__).parent / "probe"
GUESTBOOK = Path(__file__).parents[2] / "examples/guestbook"
REQUIREMENTS = "django~=5.2.0\n"
# Without its binary part it is one wheel for every Python, and needs the system's libpq5.
PSYCOPG = "psycopg~=3.2"
PYPROJECT = """[project]
name = "probe"
version = "1"
requires-python = ">=3.10"
dependencies = ["django~=5.2.0"]
"""
IDENTITY = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def run(*argv: str | Path, cwd: Path | None = None, **variables: str) -> str:
    environment = os.environ | IDENTITY | {"UV_SYSTEM_CERTS": "true"} | variables
    command = [str(argument) for argument in argv]
    return subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def project(folder: Path, mark: str, **files: str) -> Path:
    """A copy of the probe with a mark and with files of its own."""
    shutil.copytree(PROBE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "MARK").write_text(mark)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def make_git(top: Path) -> dict[str, str]:
    """A repository with a commit behind a branch's tip, an annotated tag, branches, and broken versions."""
    work = project(top / "work", "first commit", requirements__txt=REQUIREMENTS)
    run("git", "init", "--quiet", "--initial-branch=main", cwd=work)

    def commit(text: str) -> str:
        run("git", "add", "--all", cwd=work)
        run("git", "commit", "--quiet", "--message", text, cwd=work)
        return run("git", "rev-parse", "HEAD", cwd=work)

    def mark(text: str) -> str:
        (work / "MARK").write_text(text)
        return commit(text)

    facts = {"first": commit("first")}
    facts["tagged"] = mark("tag v1.0")
    run("git", "tag", "--annotate", "--message=v1.0", "v1.0", cwd=work)
    facts["main"] = mark("branch main")
    for name, change in (BROKEN | SCHEMA).items():
        run("git", "checkout", "--quiet", "-b", name, "main", cwd=work)
        change(work)
        facts[name] = commit(name)
    run("git", "checkout", "--quiet", "main", cwd=work)
    (top / "git").mkdir()
    run("git", "clone", "--quiet", "--bare", work, top / "git/probe.git")
    shutil.rmtree(work)
    return facts


def _append(name: str, text: str):
    def change(work: Path) -> None:
        with open(work / name, "a") as handle:
            handle.write(text)

    return change


def _no_manage(work: Path) -> None:
    (work / "manage.py").unlink()


TOO_NEW = '[project]\nname = "probe"\nversion = "1"\nrequires-python = ">=3.99"\n'
DATABASE_INSIDE = """
from pathlib import Path
NAME = Path(__file__).parent.parent / "db.sqlite3"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": NAME}}
"""
PAGE_FAILS = """
def show(request):
    raise RuntimeError("broken page")

urlpatterns = [path("", show)]
"""

# Versions that have to be refused; the scenario refusals deploys each of them.
BROKEN = {
    "no-manage": _no_manage,
    "settings-do-not-import": _append("probe/settings.py", "\nimport does_not_exist\n"),
    "requirements-cannot-be-met": _append("requirements.txt", "django<2\n"),
    "python-too-new": _append("pyproject.toml", TOO_NEW),
    "debug": _append("probe/settings.py", "\nDEBUG = True\n"),
    "database-inside": _append("probe/settings.py", DATABASE_INSIDE),
    "page-fails": _append("probe/urls.py", PAGE_FAILS),
    "wsgi-fails": _append("probe/wsgi.py", "\nraise RuntimeError('broken wsgi')\n"),
}


NOTES = {
    "notes/__init__.py": "",
    "notes/models.py": """from django.db import models


class Note(models.Model):
    text = models.TextField()
""",
    "notes/migrations/__init__.py": "",
    "notes/migrations/0001_note.py": """from django.db import migrations, models


class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel("Note", [("id", models.AutoField(primary_key=True)), ("text", models.TextField())])
    ]
""",
}
NOTES_SETTINGS = """
INSTALLED_APPS = ["notes"]
NAME = os.environ["DATABASE_URL"].removeprefix("sqlite:///")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": NAME}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
"""
DROP_NOTES = """from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_note")]
    operations = [migrations.DeleteModel("Note")]
"""


def _add_notes(work: Path) -> None:
    for name, text in NOTES.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    _append("probe/settings.py", NOTES_SETTINGS)(work)


def _drop_notes(work: Path) -> None:
    _add_notes(work)
    (work / "notes/models.py").write_text("")
    (work / "notes/migrations/0002_drop.py").write_text(DROP_NOTES)


# A table comes, and goes.
SCHEMA = {"with-notes": _add_notes, "without-notes": _drop_notes}


def make_archives(top: Path, uv: Path) -> None:
    """A lock file in a .tar.gz, pyproject.toml alone in a .zip, the example with a driver of PostgreSQL.

    Each has a top folder, as the archives of code hosts have.
    """
    archives = top / "archives"
    locked = project(top / "locked/probe-1.0", "tar.gz with uv.lock", pyproject__toml=PYPROJECT)
    run(uv, "lock", "--quiet", cwd=locked)
    alone = project(top / "alone/probe-1.0", "zip with pyproject.toml", pyproject__toml=PYPROJECT)
    archives.mkdir()
    postgres = top / "postgres/guestbook"
    shutil.copytree(GUESTBOOK, postgres, ignore=shutil.ignore_patterns("__pycache__"))
    with open(postgres / "requirements.txt", "a") as handle:
        handle.write(f"{PSYCOPG}\n")
    shutil.make_archive(str(archives / "postgres"), "gztar", postgres.parent, postgres.name)
    shutil.rmtree(postgres.parent)
    shutil.make_archive(str(archives / "locked"), "gztar", locked.parent, locked.name)
    shutil.make_archive(str(archives / "alone"), "zip", alone.parent, alone.name)
    shutil.rmtree(locked.parent)
    shutil.rmtree(alone.parent)


def make_index(top: Path, uv_version: str) -> None:
    """A package index of the few packages that the probe and the role need, as wheels for any Python 3."""
    index = top / "simple"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest", str(index)]
    wanted = [REQUIREMENTS.strip(), PSYCOPG, "typing-extensions", f"uv=={uv_version}", "pip", "setuptools"]
    subprocess.run([*command, *wanted], check=True)
    subprocess.run([*command, "--no-deps", "--requirement", str(GUESTBOOK / "requirements.txt")], check=True)
    for wheel in list(index.glob("*.whl")):
        name = wheel.name.split("-")[0].lower().replace("_", "-")
        (index / name).mkdir(exist_ok=True)
        wheel.rename(index / name / wheel.name)
    for folder in index.iterdir():
        links = "".join(f'<a href="{wheel.name}">{wheel.name}</a>\n' for wheel in folder.glob("*.whl"))
        (folder / "index.html").write_text(f"<!doctype html>\n{links}")


def make_certificates(top: Path, name: str) -> None:
    """A certificate authority that no host trusts yet, and a server's certificate from it."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def issue(subject: str, signer: str, key, signing_key, extensions) -> x509.Certificate:
        builder = x509.CertificateBuilder()
        builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, signer)]))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=30))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(signing_key, hashes.SHA256())

    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _which in range(2))
    unused = ["key_encipherment", "content_commitment", "data_encipherment", "key_agreement"]
    usage = dict.fromkeys([*unused, "encipher_only", "decipher_only"], False)
    authority = issue(
        "emperor.web test authority",
        "emperor.web test authority",
        authority_key,
        authority_key,
        [
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), True),
            (x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), False),
        ],
    )
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    server = issue(
        name,
        "emperor.web test authority",
        server_key,
        authority_key,
        [
            (x509.SubjectAlternativeName(names), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), False),
            (x509.SubjectKeyIdentifier.from_public_key(server_key.public_key()), False),
        ],
    )
    pem = serialization.Encoding.PEM
    (top / "ca.pem").write_bytes(authority.public_bytes(pem))
    private = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (top / "server.pem").write_bytes(server.public_bytes(pem) + private)


def main(top: Path) -> None:
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir(parents=True)
    tools = Path(sys.executable).parent
    facts = make_git(top)
    make_archives(top, tools / "uv")
    make_index(top, run(tools / "uv", "--version").split()[1])
    make_certificates(top, "git.emperor.test")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", top / "key")
    (top / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
