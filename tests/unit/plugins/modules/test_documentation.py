# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-doc shows is what the modules do."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from ansible.module_utils import basic

from ...numbers import all_options, without_unit

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"
NAMES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))
PACKAGE = "ansible_collections.emperor.web.plugins"


def test_there_are_modules():
    assert {"django_release", "nginx_config", "uwsgi_vassal"} <= set(NAMES)


def module_of(name: str):
    return importlib.import_module(f"{PACKAGE}.modules.{name}")


@cache
def documentation(name: str) -> dict:
    """The documentation of a module with the fragments that it names."""
    found = yaml.safe_load(module_of(name).DOCUMENTATION)
    for fragment in found.get("extends_documentation_fragment", []):
        _namespace, _collection, file, *part = fragment.split(".")
        source = importlib.import_module(f"{PACKAGE}.doc_fragments.{file}").ModuleDocFragment
        shared = yaml.safe_load(getattr(source, (part or ["DOCUMENTATION"])[0].upper()))
        for key in ("options", "attributes"):
            found[key] = shared.get(key, {}) | found.get(key, {})
    return found


class Specification(Exception):
    """Ends a module as soon as it has said which arguments it takes."""


def specification(name: str, monkeypatch) -> dict:
    def take(_self, *_arguments, **options):
        raise Specification(options)

    monkeypatch.setattr(basic.AnsibleModule, "__init__", take)
    with pytest.raises(Specification) as taken:
        module_of(name).main()
    return taken.value.args[0]


def described(options: dict) -> dict[str, dict]:
    """Documented options in a form to compare."""
    return {
        name: {
            "type": option["type"],
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": option.get("choices"),
            "elements": option.get("elements"),
            "options": described(option["suboptions"]) if "suboptions" in option else None,
        }
        for name, option in options.items()
    }


def specified(options: dict) -> dict[str, dict]:
    """Options of an argument_spec in the same form."""
    return {
        name: {
            "type": option.get("type", "str"),
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": option.get("choices"),
            "elements": option.get("elements"),
            "options": specified(option["options"]) if "options" in option else None,
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_options_are_documented_as_they_are(name, monkeypatch):
    taken = specification(name, monkeypatch)
    assert specified(taken["argument_spec"]) == described(documentation(name)["options"])


@pytest.mark.parametrize("name", NAMES)
def test_check_mode_is_supported_as_documented(name, monkeypatch):
    taken = specification(name, monkeypatch)
    assert taken["supports_check_mode"] is True
    assert documentation(name)["attributes"]["check_mode"]["support"] == "full"


SECRETS = ("environment", "deploy_key", "login", "index_url", "proxy")


@pytest.mark.parametrize("name", NAMES)
def test_options_with_secrets_are_not_logged(name, monkeypatch):
    taken = specification(name, monkeypatch)["argument_spec"]
    shown = [option for option in SECRETS if option in taken and taken[option].get("no_log") is not True]
    assert shown == []


@pytest.mark.parametrize("name", NAMES)
def test_examples_use_options_that_there_are(name, monkeypatch):
    documented = documentation(name)["options"]
    required = {option for option, about in documented.items() if about.get("required")}
    tasks = yaml.safe_load(module_of(name).EXAMPLES)
    assert len(tasks) >= 3
    for task in tasks:
        arguments = task[f"emperor.web.{name}"] or {}
        assert task["name"][0].isupper()
        assert set(arguments) <= set(documented)
        assert required <= set(arguments)
        for option, value in arguments.items():
            choices = documented[option].get("choices")
            assert choices is None or set(value if isinstance(value, list) else [value]) <= set(choices)


@pytest.mark.parametrize("name", NAMES)
def test_return_values_have_a_sample_of_their_type(name):
    types = {"str": str, "list": list, "dict": dict, "bool": bool, "int": int, "float": float}
    for key, about in yaml.safe_load(module_of(name).RETURN).items():
        assert isinstance(about["sample"], types[about["type"]]), key
        assert about["returned"], key
        for element in about["sample"] if about["type"] == "list" else []:
            assert isinstance(element, types[about["elements"]]), key


@pytest.mark.parametrize("name", NAMES)
def test_every_module_says_what_it_promises(name):
    found = documentation(name)
    assert {"check_mode", "diff_mode", "idempotent", "platform"} <= set(found["attributes"])
    assert found["module"] == name
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version_added"])
    assert found["short_description"][0].isupper()
    assert not found["short_description"].endswith(".")


def sources(name: str) -> list[Path]:
    """The files of a module: its own, that of its action plugin, and all that they import from the collection."""
    waiting = [path for kind in ("modules", "action") if (path := PLUGINS / kind / f"{name}.py").exists()]
    found: list[Path] = []
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.append(path)
        imported = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        for node in imported:
            folder = PLUGINS.joinpath(*(node.module or "").removeprefix(PACKAGE).strip(".").split("."))
            if (node.module or "").startswith(PACKAGE):
                parts = [folder.with_suffix(".py"), *(folder / f"{given.name}.py" for given in node.names)]
                waiting += [part for part in parts if part.exists()]
    return found


def asked_for(path: Path) -> set[str]:
    """Names that code takes out of something: attributes, and texts that are no documentation and no keys it makes."""
    tree = ast.parse(path.read_text())
    tree.body = [part for part in tree.body if not (isinstance(part, ast.Assign) and is_text(part.value))]
    made = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return found | {node.value for node in ast.walk(tree) if is_text(node) and id(node) not in made}


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_used(name, monkeypatch):
    used = set().union(*map(asked_for, sources(name)))
    taken = specification(name, monkeypatch)["argument_spec"]
    assert [option for option, _about in all_options(taken) if option not in used] == []


@pytest.mark.parametrize("name", NAMES)
def test_numbers_say_their_unit(name):
    assert without_unit(documentation(name)["options"]) == {}
