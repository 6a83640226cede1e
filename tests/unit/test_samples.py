# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people copy from inventory/, the READMEs and ansible-doc is what roles and modules take."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.emperor.web.plugins.filter.django_apps import django_apps
from ansible_collections.emperor.web.plugins.module_utils._django import DJANGO_ARGUMENTS
from ansible_collections.emperor.web.plugins.module_utils._lock import LOCK_ARGUMENTS

ROOT = Path(__file__).resolve().parents[2]
READMES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("roles/*/README.md")),
    *sorted(ROOT.glob("docs/*.md")),
]
# A sample inventory, or a set of variables that a README tells.
SAMPLES = {path.name: path.read_text() for path in sorted((ROOT / "inventory").glob("*.yml"))} | {
    f"{path.relative_to(ROOT)}-{number}": text
    for path in READMES
    for number, text in enumerate(re.findall(r"^ *```yaml\n(.*?)^ *```", path.read_text(), re.DOTALL | re.MULTILINE))
}

# And what ansible-doc shows of a role's entry points.
SAMPLES |= {
    f"{path.parent.parent.name}-{name}": entry["examples"]
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
    for name, entry in yaml.safe_load(path.read_text())["argument_specs"].items()
    if "examples" in entry
}


def options() -> dict[str, dict]:
    """All variables that the public roles take, as AnsibleModule wants them."""
    found: dict[str, dict] = {}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            found |= entry.get("options", {})
    return {name: bare(about) for name, about in found.items()}


def bare(about: dict) -> dict:
    kept = {key: value for key, value in about.items() if key in ("type", "elements", "choices")}
    if "options" in about:
        kept["options"] = {name: bare(more) for name, more in about["options"].items()}
    return kept


def variables(data) -> Iterator[tuple[str, object]]:
    """Variables of the roles, wherever an inventory or a play has them."""
    if isinstance(data, list):
        for part in data:
            yield from variables(part)
    elif isinstance(data, dict):
        for name, value in data.items():
            if name.startswith(("locale_", "nginx_", "uwsgi_", "django_")):
                yield name, value
            else:
                yield from variables(value)


def test_samples_are_found():
    assert {"one-host.yml", "many-hosts.yml", "README.md-0", "django-main"} <= set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_roles_take_the_sample(name, tmp_path, monkeypatch):
    # Files that a sample names are looked for where one is.
    monkeypatch.chdir(tmp_path)
    for file in re.findall(r"\bfiles/[\w.]+", SAMPLES[name]):
        Path("files").mkdir(exist_ok=True)
        Path(file).touch()
    known = options()
    given = list(variables(yaml.safe_load(SAMPLES[name])))
    assert given or "hosts:" in SAMPLES[name], "a sample shows no variable of ours"
    for variable, value in given:
        assert variable in known
        result = ArgumentSpecValidator({variable: known[variable]}).validate({variable: value})
        assert result.error_messages == []
        if variable == "django_apps":
            wanted = [app["name"] for app in value if app.get("state") != "absent"]
            assert [app["name"] for app in django_apps(value)] == wanted


def tasks(data) -> Iterator[tuple[str, dict]]:
    """Uses of the modules for Django in a playbook, which tests/integration and molecule/operate also run."""
    for play in data if isinstance(data, list) else []:
        for task in play.get("tasks", []):
            yield from (
                (name.rpartition(".")[2], task[name]) for name in task if name.startswith("emperor.web.django_")
            )


def test_modules_take_the_sample():
    found = [use for text in SAMPLES.values() for use in tasks(yaml.safe_load(text))]
    assert {name for name, _given in found} == {
        "django_check",
        "django_migrate",
        "django_collectstatic",
        "django_release",
    }
    for name, given in found:
        module = importlib.import_module(f"ansible_collections.emperor.web.plugins.modules.{name}")
        own = {option: bare(about) for option, about in yaml.safe_load(module.DOCUMENTATION)["options"].items()}
        fragment = LOCK_ARGUMENTS if name == "django_release" else DJANGO_ARGUMENTS
        shared = {option: bare(about) for option, about in fragment.items()}
        assert ArgumentSpecValidator(own | shared).validate(given).error_messages == []


def test_the_readme_names_each_module_and_role():
    text = (ROOT / "README.md").read_text()
    names = [path.stem for path in (ROOT / "plugins/modules").glob("*.py")]
    roles = [path.name for path in (ROOT / "roles").iterdir() if path.name != "host"]  # the others' own
    assert names and roles
    assert [name for name in names if f"`{name}`" not in text] == []
    assert [name for name in roles if f"`emperor.web.{name}`" not in text] == []


def test_messages_of_the_troubleshooting_are_said():
    """What people search for there has to be what they have read."""
    sources = [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "roles").rglob("tasks/*.yml")]
    # A message may be broken over lines of the source.
    code = " ".join(re.sub(r'"\n\s*f?"', "", path.read_text()) for path in sources)
    table = (ROOT / "docs/troubleshooting.md").read_text().split("## The site does not answer")[0]
    messages = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    assert len(messages) > 5
    assert [message for message in messages if message not in code] == []
