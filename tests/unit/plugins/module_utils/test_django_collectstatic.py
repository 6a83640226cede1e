# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collecting with a real Django, in this process: what a run remembers must never make the next one skip wrongly."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import django
import pytest
from ansible_collections.emperor.web.plugins.module_utils import (
    _django_collectstatic,
    _django_static_collection,
    _django_static_compress,
    _django_static_state,
)
from ansible_collections.emperor.web.plugins.module_utils._django_static_remote import names_below
from ansible_collections.emperor.web.plugins.module_utils._django_static_sources import walk
from ansible_collections.emperor.web.plugins.module_utils._django_static_state import NAME
from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.management.commands.collectstatic import Command as CollectstaticCommand
from django.contrib.staticfiles.storage import ManifestFilesMixin, StaticFilesStorage, staticfiles_storage
from django.contrib.staticfiles.utils import get_files
from django.core import management
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, InvalidStorageError, storages
from django.test.utils import override_settings
from django.utils.functional import empty
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

if not settings.configured:
    settings.configure(
        INSTALLED_APPS=["django.contrib.staticfiles"],
        STATIC_URL="/static/",
        STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
    )
    django.setup()

PLAIN = "django.contrib.staticfiles.storage.StaticFilesStorage"
MANIFEST = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
UPLOADS = "django.core.files.storage.FileSystemStorage"
LISTS = ("added", "modified", "deleted")


class Project:
    """Sources and a target in a folder of their own."""

    def __init__(self, root: Path, storage: str = PLAIN) -> None:
        self.storage = storage
        self.sources = [root / "one", root / "two"]
        self.target = root / "static"
        for folder in self.sources:
            folder.mkdir()

    def write(self, files: dict[str, str], source: int = 0) -> Project:
        for name, text in files.items():
            path = self.sources[source] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    @contextmanager
    def settings(self):
        """Django as in an interpreter of its own."""
        finders.get_finder.cache_clear()
        with override_settings(
            STATIC_ROOT=str(self.target),
            STATICFILES_DIRS=[str(folder) for folder in self.sources],
            STORAGES={"default": {"BACKEND": UPLOADS}, "staticfiles": {"BACKEND": self.storage}},
        ):
            storages._storages.clear()
            staticfiles_storage._wrapped = empty
            yield

    JOB = {"clear": False, "link": False, "ignore": [], "prune": False, "precompress": [], "code": "1"}

    def collect(self, *, check: bool = False, **options) -> dict:
        """One run."""
        with self.settings():
            return _django_collectstatic.run(self.JOB | {"skip_checks": False, "check_mode": check} | options)

    def is_untouched(self, **options) -> bool:
        """Whether a run is foreseen to have nothing to do."""
        with self.settings():
            return _django_collectstatic.is_untouched(self.JOB | {"skip_checks": True, "check_mode": True} | options)

    def settle(self) -> None:
        """Let the sources grow older than a tick of the clock."""
        time.sleep(0.03)

    def tree(self) -> dict[str, str | bytes]:
        paths = (path for path in self.target.rglob("*") if path.name != NAME)
        return {
            str(path.relative_to(self.target)): f"-> {os.readlink(path)}" if path.is_symlink() else path.read_bytes()
            for path in paths
            if not path.is_dir() or path.is_symlink()
        }


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@contextmanager
def no_collection():
    """Fail when Django is asked to collect."""
    with pytest.MonkeyPatch.context() as patch:

        def collect(*_arguments):
            raise AssertionError("Django collected again")

        patch.setattr(_django_static_collection.Collection, "collect", collect)
        yield


def changes(answer: dict) -> dict:
    return {name: answer[name] for name in LISTS}


@pytest.mark.parametrize("content", [b'{"paths": {', b"[]", b"\xff", b'{"version": "9"}', b""])
def test_a_manifest_that_cannot_be_read_is_written_anew(project, content):
    project.storage = MANIFEST
    project.write({"a.css": "a {}"}).collect()
    before = project.tree()
    (project.target / "staticfiles.json").write_bytes(content)
    predicted = project.collect(check=True)
    assert changes(predicted) == {"added": [], "modified": ["staticfiles.json"], "deleted": []}
    assert project.collect() == predicted
    assert project.tree() == before


def test_what_else_is_wrong_with_the_storage_is_told(project):
    project.storage = "django.contrib.staticfiles.storage.ManifestStaticFilesStorages"
    with pytest.raises(InvalidStorageError, match="ManifestStaticFilesStorages"):
        project.write({"a.css": "a {}"}).collect()


NAMES = ["a.css", "b.js", "d/a.css", "d/e/c.txt", "x.png"]
TEXTS = ["", "one", "two", "url(x.png) " * 40, "word " * 200, "drow " * 200]
EDITS = st.tuples(
    st.sampled_from(["source", "target", "target"]),
    st.sampled_from(["write", "write", "remove", "keep", "touch", "link", "again"]),
    st.integers(0, 1),
    st.integers(0, 30),
    st.sampled_from(TEXTS),
)
OPTIONS = st.fixed_dictionaries(
    {
        "clear": st.sampled_from([False, False, True]),
        "prune": st.booleans(),
        "precompress": st.sampled_from([[], ["gzip"], ["gzip"]]),
        "ignore": st.sampled_from([[], [], ["*.txt"]]),
    }
)


def edit(project: Project, where: str, how: str, source: int, number: int, text: str) -> None:
    """Change one file of a source or of the target."""
    folder = project.target if where == "target" else project.sources[source]
    there = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path.name != NAME)
    path = there[number % len(there)] if there and how != "write" else folder / NAMES[number % len(NAMES)]
    if path.is_dir() or path.parent.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "write":
        path.write_text(text)
    elif not there:
        return
    elif how == "remove":
        path.unlink()
    elif how == "touch":
        path.touch()
    elif how == "link":  # as the switch to a release does it: no content is another, but ctime is
        os.link(path, project.target.parent / f"link{number}-{len(os.listdir(project.target.parent))}")
    else:
        before, data = path.stat(), path.read_bytes()
        if how == "keep":  # same size, same time, other bytes: only ctime tells
            data = bytes(byte ^ 1 for byte in data)
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def expected(project: Project, collected: dict, ours: set, options: dict) -> dict:
    """What a run has to report: told from contents, and from which files earlier runs have made."""
    found = project.tree()
    strays = found.keys() - collected.keys()
    deleted = set(strays) if options["clear"] else {name for name in strays & ours if name.endswith(".gz")}
    if options["prune"]:
        deleted |= strays & ours
    if options["precompress"]:
        deleted |= {name for name in strays if name.endswith(".gz") and name[:-3] in collected}
    return {
        "added": sorted(collected.keys() - found.keys()),
        "modified": sorted(name for name in found.keys() & collected.keys() if found[name] != collected[name]),
        "deleted": sorted(deleted),
    }


def in_an_empty_folder(project: Project, options: dict) -> dict:
    """What Django's own command collects, and the compressed files that belong to it."""
    with tempfile.TemporaryDirectory() as folder:
        other = Project.__new__(Project)
        other.storage, other.sources, other.target = project.storage, project.sources, Path(folder) / "static"
        with other.settings():
            management.call_command(
                "collectstatic", interactive=False, verbosity=0, ignore_patterns=list(options["ignore"])
            )
        collected = other.tree()
        if options["precompress"]:
            for name in [name for name in collected if not name.endswith((".png", ".json"))]:
                packed = zlib.compressobj(9, zlib.DEFLATED, 31, 9)
                data = packed.compress(collected[name]) + packed.flush()
                if len(collected[name]) >= 256 and len(data) <= 0.95 * len(collected[name]):
                    collected[f"{name}.gz"] = data
        return collected


def test_what_is_remembered_never_skips_wrongly(monkeypatch):
    """Random edits of sources and target, some at once after a run, against a comparison that remembers nothing."""
    ways = {"nothing_to_do": 0, "nothing_to_write": 0, "collect": 0}
    foreseen = {True: 0, False: 0}

    def count(kind: type, way: str) -> None:
        method = getattr(kind, way)

        def counted(*arguments):
            answer = method(*arguments)
            ways[way] += answer is not None
            return answer

        monkeypatch.setattr(kind, way, counted)

    count(_django_collectstatic.Target, "nothing_to_do")
    count(_django_static_collection.Collection, "nothing_to_write")
    count(_django_static_collection.Collection, "collect")

    examples = os.environ.get("EMPEROR_EXAMPLES")

    @hypothesis(
        max_examples=int(examples or 14),
        derandomize=not examples,  # the same ones each time, unless somebody asks for more
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(
        storage=st.sampled_from([PLAIN, MANIFEST]),
        files=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(TEXTS)), min_size=1, max_size=5),
        options=OPTIONS,
        others=OPTIONS,
        steps=st.lists(st.tuples(st.booleans(), st.lists(EDITS, max_size=2)), min_size=3, max_size=6),
    )
    def play(storage, files, options, others, steps):
        with tempfile.TemporaryDirectory() as root:
            project = Project(Path(root), storage)
            project.write({"x.png": "picture", "a.css": "a {}"} | dict(files))
            with suppress(ValueError):
                project.collect(**options)
            ours = set(project.tree())
            for number, (settled, edits) in enumerate(steps):
                for one in edits:
                    edit(project, *one)
                if settled:
                    time.sleep(0.03)
                given = others if number == 1 else options
                try:
                    collected = in_an_empty_folder(project, given)
                except ValueError:  # a style sheet names a file that is not there
                    before = project.tree()
                    for check in (True, False):
                        with pytest.raises(ValueError, match="Nothing was changed"):
                            project.collect(check=check, **given)
                    assert project.tree() == before
                    continue
                wanted = expected(project, collected, ours, given)
                untouched = project.is_untouched(**given)
                foreseen[untouched] += 1
                assert not (untouched and any(wanted.values()))
                predicted = project.collect(check=True, **given)
                done = project.collect(**given)
                assert changes(done) == wanted
                assert predicted == done
                assert done["unmodified"] == len(collected) - len(done["added"]) - len(done["modified"])
                found = project.tree()
                assert {name: found.get(name) for name in collected} == collected
                assert not found.keys() & set(done["deleted"])
                ours |= collected.keys()

    play()
    assert min(ways.values()) >= 10, f"the ways were hardly taken: {ways}"
    assert min(foreseen.values()) >= 10, f"it was hardly foreseen: {foreseen}"


def test_nothing_to_do_does_not_collect(project):
    project.write({"a.css": "a {}", "d/b.js": "b"}).settle()
    project.collect()
    with no_collection():
        again = project.collect()
        assert project.is_untouched()
        os.link(project.target / "a.css", project.target.parent / "link")  # another ctime, the same content
        assert project.is_untouched(), "as a release is whose files have got their names for all releases"
        assert project.collect() == again
        (project.target / "stray").write_text("")
        assert project.collect() == again
        assert project.collect(clear=True)["deleted"] == ["stray"]
    assert again["unmodified"] == 2
    assert not any(changes(again).values())


def test_names_that_a_source_gets_elsewhere_are_no_change(project):
    """As uv gives them to the files of each package, when it makes or removes the environment of another app."""
    project.write({"a.css": "a {}"}).settle()
    source, other = project.sources[0] / "a.css", project.sources[0].parent / "elsewhere"
    other.hardlink_to(source)
    project.collect()
    (project.sources[0].parent / "again").hardlink_to(source)
    with no_collection():
        project.collect()
    before = source.stat()
    source.write_text("b {}")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert project.collect()["modified"] == ["a.css"]


@pytest.mark.parametrize(
    "what",
    [
        pytest.param({"STATIC_URL": "/elsewhere/"}, id="setting"),
        pytest.param({"FILE_UPLOAD_PERMISSIONS": 0o640}, id="mode"),
        pytest.param({"code": "2"}, id="version of this collection"),
        pytest.param({"link": True}, id="option"),
        pytest.param({"ignore": ["*.js"]}, id="pattern"),
        pytest.param({"precompress": ["gzip"]}, id="compression"),
    ],
)
def test_what_matters_is_looked_at(project, what):
    project.write({"a.css": "a {}"}).settle()
    project.collect()
    options = {name: value for name, value in what.items() if name.islower()}
    with override_settings(**{name: value for name, value in what.items() if name.isupper()}):
        collects_once(project, **options)


def collects_once(project: Project, **options) -> None:
    """The next run has Django collect, and the one after it does not."""
    with no_collection(), pytest.raises(AssertionError, match="Django collected again"):
        project.collect(**options)
    project.collect(**options)
    with no_collection():
        project.collect(**options)


def test_another_django_collects_again(project, monkeypatch):
    project.write({"a.css": "a {}"}).settle()
    project.collect()
    monkeypatch.setattr(django, "get_version", lambda: "99.1")
    collects_once(project)


OWN_STORAGE = """
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage

class Storage(ManifestStaticFilesStorage):
    manifest_strict = True
"""


def test_another_storage_or_another_code_of_it_collects_again(project, monkeypatch):
    monkeypatch.syspath_prepend(project.target.parent)
    module = project.target.parent / "storage_of_the_tests.py"
    module.write_text(OWN_STORAGE)
    project.write({"a.css": "a {}"}).settle()
    project.collect()
    for storage in (MANIFEST, "storage_of_the_tests.Storage", PLAIN, "storage_of_the_tests.Storage"):
        project.storage = storage
        collects_once(project)
    module.write_text(OWN_STORAGE.replace("True", "False"))
    collects_once(project)


class Moody(StaticFilesStorage):
    """What it saves depends on more than files and settings."""

    mood = "glad"

    def _save(self, name, content):
        return super()._save(name, ContentFile(f"{Moody.mood} {content.read().decode()}"))


class GivenMood(StaticFilesStorage):
    """The same by what it does to itself."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        save = self._save
        self._save = lambda name, content: save(name, ContentFile(f"{Moody.mood} {content.read().decode()}"))


def test_files_of_the_default_storage_are_collected_too(project):
    """DefaultStorageFinder hands a lazy object over, which only looks like what it stands for."""
    uploads = project.target.parent / "uploads"
    (uploads / "d").mkdir(parents=True)
    (uploads / "d/b.css").write_text("b {}")
    project.write({"a.css": "a {}"}).settle()
    found = [f"django.contrib.staticfiles.finders.{name}Finder" for name in ("FileSystem", "DefaultStorage")]
    with override_settings(STATICFILES_FINDERS=found, MEDIA_ROOT=str(uploads)):
        assert project.collect()["added"] == ["a.css", "d/b.css"]
        with no_collection():
            project.collect()
        (uploads / "d/b.css").write_text("c {}")
        assert project.collect()["modified"] == ["d/b.css"]


class MoodyCommand(CollectstaticCommand):
    """As a project has it that links one more folder, or leaves one out."""

    def copy_file(self, path, prefixed_path, source_storage):
        if Moody.mood == "glad" or path != "a.css":
            super().copy_file(path, prefixed_path, source_storage)


@pytest.mark.parametrize("storage", [Moody, GivenMood])
def test_a_storage_with_a_method_of_its_own_collects_each_time(project, monkeypatch, storage):
    project.storage = f"{__name__}.{storage.__name__}"
    project.write({"a.css": "a {}"}).settle()
    for mood, expected in (("glad", "added"), ("sad", "modified"), ("glad", "modified")):
        monkeypatch.setattr(Moody, "mood", mood)
        predicted = project.collect(check=True)
        assert project.collect() == predicted
        assert predicted[expected] == ["a.css"]
        assert project.tree() == {"a.css": f"{mood} a {{}}".encode()}
    with no_collection(), pytest.raises(AssertionError, match="Django collected again"):
        project.collect()


def test_a_command_with_a_method_of_its_own_collects_each_time(project, monkeypatch):
    monkeypatch.setattr(management, "load_command_class", lambda *_names: MoodyCommand())
    project.write({"a.css": "a {}", "b.css": "b {}"}).settle()
    project.collect()
    monkeypatch.setattr(Moody, "mood", "sad")
    assert project.collect(clear=False, prune=True)["deleted"] == ["a.css"]
    assert set(project.tree()) == {"b.css"}


def test_a_source_that_is_as_old_as_its_stamp_is_not_trusted(project, monkeypatch):
    """As in Git's index: a second write in the same tick of the clock leaves no trace in the stamp."""
    project.write({"a.css": "a {}"})
    written = (project.sources[0] / "a.css").stat().st_ctime_ns
    monkeypatch.setattr(_django_static_state, "stamping_time", lambda: written)  # a clock that stands still
    project.collect()
    header = (project.target / NAME).read_text().partition("\n")[0]
    assert '"sources": ""' in header


@pytest.mark.parametrize("damage", [b"", b"{", b"{}\n{}", b"[]\n", b'{"format": 99}\n', b"\xff\xfe", None])
def test_a_damaged_record_is_as_none(project, damage):
    project.write({"a.css": "a {}"}).collect()
    record = project.target / NAME
    if damage is None:
        text = record.read_bytes()
        record.write_bytes(text[: len(text) - 7])  # cut off
    else:
        record.write_bytes(damage)
    (project.target / "a.css").write_text("b {}")
    assert changes(project.collect()) == {"added": [], "modified": ["a.css"], "deleted": []}


@pytest.mark.parametrize("patterns", [[], ["*.map"], ["lib/*", "b?"], ["lib/deep/*.css"], ["CVS", ".*", "*~"]])
def test_a_folder_is_listed_as_django_lists_it(tmp_path, patterns):
    names = [
        "b1",
        "a.css",
        "a.css~",
        ".hidden",
        "lib/a.css",
        "lib/a.css.map",
        "lib/deep/a.css",
        "b2/a.css",
        "CVS/a.css",
    ]
    for name in names:
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).write_text(name)
    (tmp_path / "top/lib/nowhere").symlink_to("gone")
    (tmp_path / "top/lib/linked.css").symlink_to("a.css")
    (tmp_path / "top/other").symlink_to("lib")
    found = walk(str(tmp_path / "top"), tuple(patterns))
    listed = list(get_files(FileSystemStorage(tmp_path / "top"), patterns))
    assert list(found) == listed
    assert [bool(found[name]) for name in listed] == [(tmp_path / "top" / name).exists() for name in listed]
    assert all(found[name] == os.stat(tmp_path / "top" / name) for name in listed if found[name])


def test_the_first_source_wins_and_that_is_told(project):
    project.write({"a.css": "winner"}).write({"a.css": "loser", "b.css": "b"}, source=1)
    one, two = (str(folder / "a.css") for folder in project.sources)
    for _run in range(3):
        assert project.collect()["clashes"] == [{"path": "a.css", "winner": one, "losers": [two]}]
    assert project.tree()["a.css"] == b"winner"


def test_prune_removes_what_no_source_has_any_more_and_nothing_else(project):
    project.storage = MANIFEST
    project.write({"a.css": "a {}", "b.css": "b {}"}).collect()
    (project.target / "uploaded").write_text("by hand")
    (project.sources[0] / "b.css").unlink()
    assert changes(project.collect())["deleted"] == []  # it is remembered as ours without prune, too
    gone = changes(project.collect(check=True, prune=True))["deleted"]
    assert [name.split(".")[0] for name in gone] == ["b", "b"]
    assert changes(project.collect(prune=True))["deleted"] == gone
    assert {"uploaded", "a.css"} <= project.tree().keys()


def test_prune_without_a_record_says_that_it_knows_nothing(project):
    project.write({"a.css": "a {}"})
    project.target.mkdir()
    (project.target / "b.css").write_text("")
    answer = project.collect(prune=True)
    assert "no record" in answer["warnings"][0]
    assert answer["deleted"] == []


BIG = "body { color: red } " * 100


def test_compressed_files_follow_their_files(project):
    project.write({"a.css": BIG, "small.css": "a {}", "x.png": BIG, "noise.txt": os.urandom(400).hex()})
    first = project.collect(precompress=["gzip"])
    assert [name for name in first["added"] if name.endswith(".gz")] == ["a.css.gz", "noise.txt.gz"]
    assert first["precompressed"] == 2
    data = (project.target / "a.css.gz").read_bytes()
    assert data[4:8] == bytes(4)  # no time: the same bytes on each host
    project.write({"a.css": BIG.upper()})
    assert changes(project.collect(precompress=["gzip"]))["modified"] == ["a.css", "a.css.gz"]
    project.write({"a.css": "a {}"})
    assert changes(project.collect(precompress=["gzip"])) == {
        "added": [],
        "modified": ["a.css"],
        "deleted": ["a.css.gz"],
    }
    (project.target / "small.css.gz").write_text("from elsewhere")
    assert changes(project.collect(precompress=["gzip"]))["deleted"] == ["small.css.gz"]
    (project.target / "noise.txt.gz").unlink()  # made again, though its file is as it was
    assert changes(project.collect(precompress=["gzip"]))["added"] == ["noise.txt.gz"]
    assert changes(project.collect())["deleted"] == ["noise.txt.gz"]


def test_files_are_compressed_side_by_side(project, monkeypatch):
    both = threading.Barrier(2, timeout=20)

    def pack(data: bytes) -> bytes:
        both.wait()
        return data[:9]

    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1})
    monkeypatch.setitem(_django_static_compress.COMPRESSORS, "gzip", lambda: (pack, "1"))
    project.write({"a.css": BIG, "b.css": BIG.upper()}).collect(precompress=["gzip"])
    assert {name for name in project.tree() if name.endswith(".gz")} == {"a.css.gz", "b.css.gz"}


def test_a_source_that_is_compressed_already_is_left_alone(project):
    project.write({"a.css": BIG, "a.css.gz": "packed by hand"})
    answer = project.collect(precompress=["gzip"])
    assert answer["precompressed"] == 0
    assert project.tree()["a.css.gz"] == b"packed by hand"


def test_a_missing_library_is_told_and_the_others_are_used(project, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "brotli", None)
    answer = project.write({"a.css": BIG}).collect(precompress=["gzip", "brotli"])
    assert answer["added"] == ["a.css", "a.css.gz"]
    assert "the package brotli is not in the app's virtual environment" in answer["warnings"][0]


def test_zstd_comes_from_the_package_or_from_python(monkeypatch):
    modules = __import__("sys").modules
    for missing in ("zstandard", "compression.zstd"):
        monkeypatch.setitem(modules, missing, None)
    functions, _versions, warnings = _django_static_compress.methods(["zstd"])
    assert not functions and "the package zstandard is not in" in warnings[0]
    own = SimpleNamespace(compress=lambda data, level: b"%d %s" % (level, data), zstd_version="1.5.7")
    monkeypatch.setitem(modules, "compression.zstd", own)
    functions, versions, warnings = _django_static_compress.methods(["zstd"])
    assert (functions["zstd"](b"text"), versions, warnings) == (b"19 text", {"zstd": "1.5.7"}, [])


def test_a_killed_run_leaves_nothing_for_good(project):
    project.write({"a.css": "a {}"})
    left = project.target / ".emperor-collectstatic-abc" / "static"
    left.mkdir(parents=True)
    assert changes(project.collect(check=True, clear=True))["deleted"] == []
    assert left.exists()
    project.collect()
    assert sorted(os.listdir(project.target)) == [NAME, "a.css"]


def test_a_failure_leaves_no_target_behind(project):
    project.storage = MANIFEST
    project.write({"a.css": "a { background: url(nowhere.png) }"})
    with pytest.raises(ValueError, match=r"post-processing a.css .*one/a.css.* failed: .*nowhere.png.*add the file"):
        project.collect()
    assert not project.target.exists()


def as_nobody(project: Project, **options) -> str:
    """What a run as another user says; in a child, because there is no way back from that user."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            project.collect(**options)
            said = "done"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading) as answer:
        return answer.read()


@pytest.fixture
def open_project():
    """A project that each user may look into, which is not so below pytest's own folders."""
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        yield Project(Path(root))


@pytest.mark.parametrize("check", [False, True])
def test_a_folder_that_may_not_be_written_to_is_refused_first(open_project, check):
    open_project.write({"a.css": "a", "d/b.css": "b"}).collect()
    open_project.write({"a.css": "A", "d/b.css": "B"})
    before = open_project.tree()
    os.chmod(open_project.target / "d", 0o555)
    said = as_nobody(open_project, check=check)
    os.chmod(open_project.target / "d", 0o755)
    # The user who runs the tests owns the target; as root the run is another user's, who may write to none of it.
    refused = open_project.target if os.geteuid() == 0 else open_project.target / "d"
    assert said.startswith("PermissionError: user ")
    assert f"may not write to {refused}, which belongs to user {os.geteuid()} " in said
    assert said.endswith("Nothing was changed")
    assert open_project.tree() == before


def test_a_target_that_cannot_be_made_is_refused(open_project):
    open_project.write({"a.css": "a"})
    os.chmod(open_project.target.parent, 0o555)
    said = as_nobody(open_project)
    os.chmod(open_project.target.parent, 0o755)
    assert f"may not write to {open_project.target.parent}, " in said
    assert not open_project.target.exists()


def test_a_file_that_may_not_grow_leaves_the_old_ones(project):
    project.write({"a.css": "a", "b.css": "b"}).collect()
    project.write({"a.css": "A", "b.css": "B" * 5000})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(OSError, match=r"larger than the limit for files \(ulimit -f\).*make room.*the old one or"):
            project.collect()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert project.tree() == {"a.css": b"a", "b.css": b"b"}
    assert sorted(os.listdir(project.target)) == [NAME, "a.css", "b.css"]
    assert changes(project.collect())["modified"] == ["a.css", "b.css"]  # the next run repairs it


def test_a_full_disk_leaves_the_old_files(project):
    project.write({"a.css": "a", "b.css": "b"})
    project.target.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(project.target)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here: that needs root and CAP_SYS_ADMIN")
    try:
        project.collect()
        project.write({"a.css": "A", "b.css": "B" * 100_000})
        with pytest.raises(OSError, match="the file system is full .*make room"):
            project.collect()
        assert project.tree() == {"a.css": b"a", "b.css": b"b"}
        assert sorted(os.listdir(project.target)) == [NAME, "a.css", "b.css"]
    finally:
        subprocess.run(["umount", str(project.target)], check=True)


def test_links_into_other_folders_are_followed(project):
    project.write({"d/a.css": "a"}).collect()
    shutil.move(project.target / "d", project.target.parent / "elsewhere")
    (project.target / "d").symlink_to(project.target.parent / "elsewhere")
    assert not any(changes(project.collect()).values())
    project.write({"d/a.css": "b"})
    assert changes(project.collect()) == {"added": [], "modified": ["d/a.css"], "deleted": []}
    assert (project.target.parent / "elsewhere/a.css").read_text() == "b"


class Packing(StaticFilesStorage):
    """As WhiteNoise's, which makes compressed files itself."""

    def post_process(self, paths, **_options):
        for name in paths:
            self._save(f"{name}.gz", ContentFile(b"packed by the storage"))
            yield name, name, True


def test_a_storage_that_compresses_itself_is_left_to_it(project, monkeypatch):
    monkeypatch.setattr(_django_static_state, "KNOWN", ("django.", __name__))  # as WhiteNoise's are known
    project.storage = f"{__name__}.Packing"
    project.write({"a.css": BIG}).settle()
    told = ["the storage makes compressed files itself, so precompress makes none"]
    for _run in range(2):
        answer = project.collect(precompress=["gzip"])
        assert (answer["warnings"], answer["precompressed"]) == (told, 0)
        assert project.tree() == {"a.css": BIG.encode(), "a.css.gz": b"packed by the storage"}
    with no_collection():
        assert project.collect(precompress=["gzip"])["warnings"] == told
    assert project.collect()["warnings"] == []


# Storages that are no folder.


class Bucket(InMemoryStorage):
    """What is in it outlives a run."""

    kept: ClassVar[list] = []

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        Bucket.kept = Bucket.kept or [self._root]
        self._root = Bucket.kept[0]

    @classmethod
    def content(cls) -> dict[str, str]:
        storage = cls()
        return {name: storage.open(name).read().decode() for name in names_below(storage, "")}


class ManifestBucket(ManifestFilesMixin, Bucket):
    """With hashed names."""


@pytest.fixture
def bucket(project, monkeypatch):
    """A project with a bucket that has a file of an earlier release."""
    monkeypatch.setattr(Bucket, "kept", [])
    project.storage = f"{__name__}.Bucket"
    project.write({"a.css": "a {}", "d/b.js": "b"})
    Bucket().save("d/old.js", ContentFile("old"))
    return project


def twice(project: Project, **options) -> dict:
    """A run, which must have been foreseen."""
    before = Bucket.content()
    predicted = project.collect(check=True, **options)
    assert Bucket.content() == before
    done = project.collect(**options)
    assert done["exact"] is predicted["exact"] is False
    assert changes(predicted) == changes(done)
    return done


def test_a_bucket_gets_what_is_new(bucket):
    assert changes(twice(bucket)) == {"added": ["a.css", "d/b.js"], "modified": [], "deleted": []}
    again = twice(bucket)
    assert (again["unmodified"], any(changes(again).values())) == (2, False)
    bucket.write({"a.css": "new"})
    os.utime(bucket.sources[0] / "a.css", (time.time() + 60, time.time() + 60))  # Django looks at nothing else
    assert changes(twice(bucket)) == {"added": [], "modified": ["a.css"], "deleted": []}
    assert Bucket.content() == {"a.css": "new", "d/b.js": "b", "d/old.js": "old"}
    assert not bucket.target.exists()


def test_a_bucket_is_cleared(bucket):
    bucket.collect()
    cleared = twice(bucket, clear=True)
    assert changes(cleared) == {"added": [], "modified": ["a.css", "d/b.js"], "deleted": ["d/old.js"]}
    assert Bucket.content() == {"a.css": "a {}", "d/b.js": "b"}


def test_a_bucket_with_a_manifest(bucket):
    bucket.storage = f"{__name__}.ManifestBucket"
    predicted = bucket.collect(check=True)
    done = bucket.collect()
    assert predicted["added"] == ["a.css", "d/b.js"]
    assert done["added"] == ["a.css", "d/b.js", "staticfiles.json"]
    assert done["post_processed"] == 2
    names = {name for name in Bucket.content() if name != "d/old.js"}
    assert len(names) == 5
    assert not any(changes(bucket.collect()).values())
    cleared = twice(bucket, clear=True)
    assert changes(cleared) == {"added": [], "modified": ["a.css", "d/b.js"], "deleted": ["d/old.js"]}
    assert Bucket.content().keys() == names
    bucket.write({"a.css": "new"})
    changed = bucket.collect(clear=True)
    assert changed["modified"] == ["a.css", "d/b.js", "staticfiles.json"]
    assert changed["deleted"] == sorted(names - Bucket.content().keys())
    assert len(changed["deleted"]) == 1


def test_what_a_bucket_cannot_do_is_told(bucket):
    kind = f"the storage {__name__}.Bucket"
    given = {"prune": True, "precompress": ["gzip"]}
    nothing = [f"{option} does nothing with {kind}, which is no folder of this host" for option in given]
    for check in (True, False):
        assert bucket.collect(check=check, **given)["warnings"] == nothing
        assert bucket.collect(check=check)["warnings"] == []
    bucket.storage = f"{__name__}.ManifestBucket"
    kind = f"the storage {__name__}.ManifestBucket"
    told = [f"check mode cannot foresee what the post-processing of {kind} writes"]
    assert bucket.collect(check=True)["warnings"] == told
    assert bucket.collect()["warnings"] == []
