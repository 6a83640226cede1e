# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What needs no Django; how it works with a real one is tested with real projects."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _django, _django_parts, _django_runner
from ansible_collections.emperor.web.plugins.module_utils._django import source_of
from ansible_collections.emperor.web.plugins.module_utils._django_parts import (
    CHECK,
    CHECK_AND_FORESEE,
    COLLECTSTATIC,
    MIGRATE,
)
from ansible_collections.emperor.web.plugins.module_utils._django_runner import describe, reply

COLLECTIONS = Path(__file__).resolve().parents[4] / "playbooks/collections"
FILES = sorted({*CHECK_AND_FORESEE, *COLLECTSTATIC, *MIGRATE})


def relative_imports(text: str, *, at_once: bool = False) -> set[str]:
    """Names of the files beside it that a text imports, or those that it cannot be imported without."""
    tree = ast.parse(text)
    nodes = [node for node in (tree.body if at_once else ast.walk(tree)) if isinstance(node, ast.ImportFrom)]
    nodes = [node for node in nodes if node.level]
    return {name for node in nodes for name in ([node.module] if node.module else [alias.name for alias in node.names])}


@pytest.mark.parametrize(("parts", "unless_asked"), [(CHECK, {"_django_foresight"}), (CHECK_AND_FORESEE, set())])
def test_a_check_gets_all_that_it_imports(parts, unless_asked):
    assert {name for part in parts for name in relative_imports(source_of(part))} - unless_asked <= {*parts}


@pytest.mark.parametrize("parts", [COLLECTSTATIC, MIGRATE])
def test_an_action_gets_all_that_it_imports_and_no_more(parts):
    assert {name for part in parts for name in relative_imports(source_of(part))} == {*parts[:-1]}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("_django_collectstatic", {"_django_static_files", "_django_static_sources", "_django_static_state"}),
        ("_django_migrate", {"_django_migration_records", "_django_migration_session"}),
    ],
)
def test_to_see_that_nothing_is_to_do_takes_few_files(action, expected):
    """Each is compiled in each run, as the app's user has no place where that could be kept."""
    found, waiting = set(), {action}
    while waiting:
        found |= waiting
        waiting = {name for part in waiting for name in relative_imports(source_of(part), at_once=True)} - found
    assert found == expected | {action}


@pytest.mark.parametrize("module", ["django_check", "django_collectstatic", "django_migrate"])
def test_what_is_for_releases_is_loaded_for_them_only(module):
    package = _django.__name__.rpartition(".")[0]
    code = f"import sys, {package}._module_{module}; print(*[name.rpartition('.')[2] for name in sys.modules])"
    collections = Path(_django.__file__).parents[5]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(collections)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"_django", "_process"} <= {*done.stdout.split()}
    assert not {"_lock", "_outcome", "_release"} & {*done.stdout.split()}


def test_ansible_sends_the_files():
    """It sends what is imported in the text of a module or its utilities, and these are not imported for real."""
    sent = {
        alias.name
        for module in (_django, _django_parts)
        for node in ast.walk(ast.parse(source_of(module.__name__.rpartition(".")[2])))
        if isinstance(node, ast.ImportFrom) and str(node.module).endswith(".module_utils")
        for alias in node.names
    }
    assert sent == {*FILES, "_django_runner"}


def test_a_loader_that_reads_no_files_gives_the_same_texts(monkeypatch):
    """Mitogen has one."""
    texts = {part: source_of(part) for part in FILES}
    monkeypatch.setattr(_django, "__spec__", SimpleNamespace(loader=object()))
    assert {part: source_of(part) for part in FILES} == texts


# A loader like Mitogen's: it reads no files, and gives a forked process nothing that is not there.
LIKE_MITOGEN = """
import os, sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path

class Loader:
    process = os.getpid()

    def find_spec(self, name, path=None, target=None):
        if not name.startswith("ansible_collections"):
            return None
        if os.getpid() != self.process:
            raise RuntimeError(f"{name} is asked for too late")
        return ModuleSpec(name, self, is_package=self.path(name).is_dir())

    def path(self, name):
        return Path(sys.argv[1], *name.split("."))

    def create_module(self, spec):
        return None

    def get_source(self, name):
        return self.path(name).with_suffix(".py").read_text()

    def exec_module(self, module):
        if module.__spec__.submodule_search_locations is None:
            exec(compile(self.get_source(module.__name__), module.__name__, "exec"), vars(module))

sys.meta_path.insert(0, Loader())
utils = "ansible_collections.emperor.web.plugins.module_utils"
parts, django = import_module(f"{utils}._django_parts"), import_module(f"{utils}._django")
if not os.fork():
    for names in (parts.CHECK_AND_FORESEE, parts.MIGRATE, parts.COLLECTSTATIC):
        django.program({}, names)
else:
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_process_for_one_app_asks_a_loader_without_files_for_nothing():
    """Mitogen's waits for an answer that reaches only the process that has forked it."""
    subprocess.run([sys.executable, "-c", LIKE_MITOGEN, COLLECTIONS], check=True, timeout=60)


@pytest.mark.parametrize("part", ["_django_runner", *FILES])
def test_nothing_is_imported_that_an_app_may_not_have(part):
    """Its text runs in the interpreter of any project, which has Django and no Ansible."""
    tree = ast.parse(source_of(part))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"__future__"} <= {"django"}


def raised(code: str) -> BaseException:
    try:
        exec(code, {"sys": sys})
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("sys.exit(3)", {"type": "SystemExit", "message": "the project called sys.exit(3) while it was loading"}),
        ("sys.exit('no key')", {"message": "the project called sys.exit('no key') while it was loading"}),
        ("{}['SECRET_KEY']", {"type": "KeyError", "message": "'SECRET_KEY'", "missing_module": None}),
        ("raise ValueError", {"type": "ValueError", "message": "ValueError()"}),
        ("import no_such_package", {"type": "ModuleNotFoundError", "missing_module": "no_such_package"}),
        # The module is there; only a name in it is not, as after an upgrade of Django.
        ("from json import nope", {"type": "ImportError", "missing_module": None}),
        ("raise ValueError('no key')", {"cause": "", "denied": False}),
        (
            "try: open('/')\nexcept OSError as e: raise ValueError('Unable to configure handler') from e",
            {"cause": "IsADirectoryError: [Errno 21] Is a directory: '/'", "denied": False},
        ),
        ("try: raise PermissionError(13, 'no')\nexcept OSError as e: raise ValueError('a') from e", {"denied": True}),
        ("raise PermissionError(13, 'Permission denied', '/x')", {"cause": "", "denied": True}),
        ("e = ValueError('loop')\ne.__cause__ = e\nraise e", {"cause": ""}),
    ],
)
def test_an_exception_is_described(code, expected):
    found = describe(raised(code))
    assert {name: found[name] for name in expected} == expected
    assert found["traceback"].startswith("Traceback (most recent call last)")
    json.dumps(found)


def answer_of(monkeypatch, source: str, load=lambda _job: None, parts: dict | None = None) -> dict:
    """What reply() writes."""
    monkeypatch.setattr(_django_runner, "load_project", load)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    reading, writing = os.pipe()
    reply({"action": "act", "reply_fd": writing}, {"_django_act": source, **(parts or {})})
    with open(reading, encoding="utf-8") as answer:
        return json.load(answer)


def test_a_result_is_answered(monkeypatch):
    assert answer_of(monkeypatch, "def run(job): return job['action'] + 'é'") == {"result": "acté", "secrets": []}


def test_a_project_that_exits_is_answered(monkeypatch):
    answer = answer_of(monkeypatch, "", load=lambda _job: sys.exit(1))
    assert "sys.exit(1)" in answer["error"]["message"]
    assert answer["partial"] == {}


@pytest.mark.parametrize("load", [os.fork, lambda: os.fork() or sys.exit(1)])
def test_a_child_that_the_project_forked_neither_works_nor_answers(monkeypatch, load, tmp_path):
    path = tmp_path / "done"
    source = f"def run(job): open({str(path)!r}, 'a').write('x'); return 1"
    answer = answer_of(monkeypatch, source, load=lambda _job: load())
    os.wait()
    assert answer["result"] == 1
    assert path.read_text() == "x"


def test_files_can_import_each_other_and_others_are_not_compiled(monkeypatch):
    parts = {"_two": "from ._one import VALUE\nTWICE = 2 * VALUE", "_one": "VALUE = 1", "_three": "no Python"}
    source = "from ._two import TWICE\ndef run(job): return TWICE"
    assert answer_of(monkeypatch, source, parts=parts)["result"] == 2


def test_an_explained_error_says_so(monkeypatch):
    source = "class Explained(Exception): explained = True\ndef run(job): raise Explained('do this')"
    error = answer_of(monkeypatch, source)["error"]
    assert (error["explained"], error["message"]) == (True, "do this")


def test_what_was_done_before_a_failure_is_answered(monkeypatch):
    source = """
def run(job):
    error = ValueError("half way")
    error.partial_result = {"applied": [1], "unapplied": []}
    raise error
"""
    answer = answer_of(monkeypatch, source)
    assert answer["partial"] == {"applied": [1], "unapplied": []}
    assert answer["error"]["message"] == "half way"


def test_secrets_of_settings_are_told_apart_from_words(monkeypatch):
    databases = {"default": {"NAME": "shop_data", "PASSWORD": "pa55word-of-a-file"}, "words": {"PASSWORD": "shop"}}
    databases["same"] = {"ENGINE": "django.db.backends.postgresql", "PASSWORD": "postgres"}
    settings = SimpleNamespace(
        configured=True, SECRET_KEY="k" * 50, SECRET_KEY_FALLBACKS=["short"], DATABASES=databases
    )
    monkeypatch.setitem(sys.modules, "django.conf", SimpleNamespace(settings=settings))
    assert _django_runner.secrets_of_settings() == ["k" * 50, "pa55word-of-a-file"]
