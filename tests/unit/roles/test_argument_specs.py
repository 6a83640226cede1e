# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-doc shows of a role is what the role does, and the roles keep to their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.emperor.web.plugins.filter.django_apps import django_apps

from ..numbers import without_unit

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
every_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def load(path: Path):
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def entry_points(role: Path) -> dict[str, dict]:
    return load(role / "meta" / "argument_specs.yml")["argument_specs"]


# What the roles share is a role too, without an entry point for playbooks.
PUBLIC = [role for role in ROLES if "main" in entry_points(role)]


def options(role: Path) -> dict[str, dict]:
    """The options of all entry points."""
    return {name: about for entry in entry_points(role).values() for name, about in entry["options"].items()}


def defaults(role: Path) -> dict:
    return load(role / "defaults" / "main.yml") or {}


def tasks(role: Path) -> Iterator[tuple[Path, dict]]:
    """All tasks and handlers, those inside blocks too."""

    def walk(found):
        for task in found or []:
            yield task
            for part in ("block", "rescue", "always"):
                yield from walk(task.get(part))

    for folder in ("tasks", "handlers"):
        for path in sorted((role / folder).glob("*.yml")):
            for task in walk(load(path)):
                yield path.relative_to(role), task


def text_of(role: Path) -> str:
    """All that a role does, without what describes it."""
    folders = ("tasks", "handlers", "templates", "vars")
    return "\n".join(path.read_text() for folder in folders for path in sorted((role / folder).glob("*")))


def prefix(role: Path) -> str:
    return f"{role.name}_"


def private_prefix(role: Path) -> str:
    return f"__{role.name.lstrip('_')}_"


def test_there_are_roles():
    assert {role.name for role in PUBLIC} >= {"locale", "nginx", "uwsgi", "django"}


@every_role
def test_every_default_is_documented_and_the_other_way_round(role):
    documented = {name: about["default"] for name, about in options(role).items() if "default" in about}
    assert defaults(role) == documented


TYPES = {"str": str, "path": str, "int": int, "bool": bool, "list": list, "dict": dict, "float": float}


@every_role
def test_defaults_are_of_the_documented_type(role):
    def check(name: str, about: dict):
        assert about.get("description"), name
        assert ("elements" in about) is (about["type"] == "list"), name
        if "default" in about:
            assert type(about["default"]) is TYPES[about["type"]], name
            chosen = about["default"] if about["type"] == "list" else [about["default"]]
            assert "choices" not in about or set(chosen) <= set(about["choices"]), name
            assert not about.get("required"), f"{name} cannot be required and have a default"
        for sub, more in about.get("options", {}).items():
            check(f"{name}.{sub}", more)

    for name, about in options(role).items():
        check(name, about)
        assert "default" in about or about.get("required"), f"{name} needs a default, or to be required"


@every_role
def test_numbers_say_their_unit(role):
    assert without_unit(options(role)) == {}


def test_defaults_of_an_app_are_the_documented_ones():
    """Its keys have them in their descriptions, since the filter has to know whether a key is given."""
    (app,) = django_apps([{"name": "shop", "source": "https://example.com/shop.git", "domains": ["example.com"]}])
    keys = options(ROOT / "roles/django")["django_apps"]["options"]
    keys |= {f"maintenance.{name}": about for name, about in keys["maintenance"]["options"].items()}
    actual = {name: str(app[name]).lower() for name in ("canonical", "collectstatic", "overlap", "path", "probation")}
    actual |= {name: str(app[name]) for name in ("probation_errors", "sleep")} | {"tls": app["tls"]["tls"]}
    actual |= {"maintenance.retry_after": str(app["maintenance"]["retry_after"])}
    told = {
        name: re.findall(r"; V\(([^)]*)\)[^;]* unless given", "".join(keys[name]["description"])) for name in actual
    }
    assert told == {name: [value] for name, value in actual.items()}


@every_role
def test_names_start_with_the_role(role):
    """So that no role takes another one's variable."""
    public = set(options(role)) | set(defaults(role))
    assert [name for name in public if not name.startswith(prefix(role))] == []
    private = {name for path in (role / "vars").glob("*.yml") for name in load(path) or {}}
    for _path, task in tasks(role):
        private |= set(task.get("ansible.builtin.set_fact", {})) - {"cacheable"}
        private |= {task["register"]} if "register" in task else set()
    # Whichever role asks the host first tells the others.
    assert [name for name in private - {"__host_info"} if not name.startswith(private_prefix(role))] == []


def passed_on(role: Path) -> set[str]:
    """Variables that tasks give to roles they include: they belong to those."""
    included = [task for _path, task in tasks(role) if "ansible.builtin.include_role" in task]
    return {name for task in included for name in task.get("vars", {})}


@every_role
def test_what_is_passed_to_another_role_is_an_option_of_it(role):
    for _path, task in tasks(role):
        if "ansible.builtin.include_role" not in task:
            continue
        included = task["ansible.builtin.include_role"]
        other = ROOT / "roles" / included["name"].removeprefix("emperor.web.")
        given, file = set(task.get("vars", {})), included.get("tasks_from", "main")
        entries = entry_points(other)
        known = set(entries[file]["options"] if file in entries else options(other))
        # The private ones are for the roles of this collection.
        assert given <= known | private_variables(other), task["name"]


@every_role
def test_every_option_is_used(role):
    text = text_of(role)
    unused = [name for name in options(role) if not re.search(rf"\b{name}\b", text)]
    assert unused == []


@every_role
def test_every_option_of_an_option_is_used(role):
    """In the role, or in the filters that read the list for it."""
    readers = [path for kind in ("filter", "plugin_utils") for path in (ROOT / "plugins" / kind).glob("*.py")]
    readers.append(ROOT / "plugins/module_utils/_limits.py")
    text = text_of(role) + "".join(path.read_text() for path in readers)
    for name, about in options(role).items():
        for sub, more in about.get("options", {}).items():
            patterns = [rf"\.{sub}\b", rf"""['"]{sub}['"]""", rf"\bitem\.{sub}\b"]
            assert any(re.search(pattern, text) for pattern in patterns), f"{name}.{sub}"
            for part in more.get("options", {}):
                pattern = rf"""\.{sub}\.{part}\b|['"]{part}['"]"""
                assert re.search(pattern, text), f"{name}.{sub}.{part}"


def private_variables(role: Path) -> set[str]:
    """All that the role sets for itself."""
    found = {name for path in (role / "vars").glob("*.yml") for name in load(path) or {}}
    for _path, task in tasks(role):
        found |= set(task.get("ansible.builtin.set_fact", {})) | {task.get("register", "")} | set(task.get("vars", {}))
    return {name for name in found if name.startswith(private_prefix(role))}


@every_role
def test_every_variable_of_the_role_that_is_used_exists(role):
    """A name that is mistyped in a template is otherwise found on a host only."""
    strict = rf"(?<![\w.'/-]){re.escape(private_prefix(role))}\w+"
    used = set(re.findall(strict, text_of(role)))
    assert used - private_variables(role) == set()


@every_role
def test_every_variable_of_the_role_is_used(role):
    """By a role or a playbook: apart from where it is set, which is a key or what a task registers."""
    text = "\n".join([*map(text_of, ROLES), *(path.read_text() for path in (ROOT / "playbooks").glob("*.yml"))])
    text = re.sub(r"(?m)^ *(?:register: *\w+|\w+:)(?= |$)", "", text)
    assert [name for name in sorted(private_variables(role)) if not re.search(rf"\b{name}\b", text)] == []


def test_the_roles_have_no_more_tasks_than_this():
    """Each is something to read, and some time on the way to the host: one more needs a reason."""
    count = sum("block" not in task for role in ROLES for _path, task in tasks(role))
    assert count <= 45


@every_role
def test_entry_points_have_a_file_each(role):
    for name, entry in entry_points(role).items():
        assert (role / "tasks" / f"{name}.yml").exists(), name
        assert entry["short_description"], name


@pytest.mark.parametrize("role", PUBLIC, ids=lambda role: role.name)
def test_entry_points_have_examples_and_a_version(role):
    entries = entry_points(role)
    assert len(yaml.safe_load(entries["main"]["examples"])) >= 3
    for name, entry in entries.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version_added"]), name
        for play in yaml.safe_load(entry["examples"]):
            used = [given["role"] for given in play.get("roles", [])]
            tasks = play.get("tasks", []) + play.get("pre_tasks", [])
            included = [task["ansible.builtin.include_role"] for task in tasks]
            used += [f"{given['name']} {given['tasks_from']}" for given in included]
            assert used == [f"emperor.web.{role.name}" + (f" {name}" if name != "main" else "")], play["name"]


@every_role
def test_a_readme_is_there(role):
    assert (role / "README.md").exists()


@every_role
def test_the_readme_names_no_option_that_there_is_not(role):
    readme = role / "README.md"
    if not readme.exists():
        pytest.skip("there is no README.md, which test_a_readme_is_there says")
    named = set(re.findall(rf"`({re.escape(prefix(role))}[a-z0-9_]+)`", readme.read_text(encoding="utf-8")))
    assert named <= set(options(role))


def modes(task: dict) -> Iterator[object]:
    for name, arguments in task.items():
        if "." in name and isinstance(arguments, dict):
            for key in ("mode", "directory_mode"):
                if key in arguments:
                    yield arguments[key]


@every_role
def test_modes_are_quoted(role):
    """YAML reads 0644 as the number 420."""
    for path, task in tasks(role):
        for mode in modes(task):
            assert isinstance(mode, str), f"{path}: {task['name']}"
            assert re.fullmatch(r"0[0-7]{3}|2[0-7]{3}", mode), f"{path}: {task['name']}"


WRITES = ("ansible.builtin.copy", "ansible.builtin.template")


@every_role
def test_files_have_a_mode_and_an_owner(role):
    for path, task in tasks(role):
        for module in WRITES:
            if module in task:
                assert {"mode", "owner", "group"} <= set(task[module]), f"{path}: {task['name']}"


@every_role
def test_tasks_have_names(role):
    names = [(str(path), task.get("name", "")) for path, task in tasks(role)]
    assert names
    assert [(path, name) for path, name in names if not re.match(r"[A-Z]", name)] == []


@every_role
def test_modules_are_named_in_full(role):
    keywords = {
        "name",
        "when",
        "register",
        "loop",
        "loop_control",
        "vars",
        "notify",
        "environment",
        "block",
        "rescue",
        "always",
    }
    keywords |= {
        "changed_when",
        "failed_when",
        "check_mode",
        "no_log",
        "until",
        "retries",
        "delay",
        "tags",
        "run_once",
        "become",
    }
    for path, task in tasks(role):
        (module,) = set(task) - keywords or {"block"}
        assert module == "block" or re.fullmatch(r"(ansible\.builtin|emperor\.web)\.[a-z_]+", module), (
            f"{path}: {task['name']}"
        )


@every_role
def test_handlers_that_are_called_exist(role):
    handlers = {task["name"] for path, task in tasks(role) if path.parts[0] == "handlers"}
    called = {task["notify"] for _path, task in tasks(role) if "notify" in task}
    assert called == handlers


@every_role
def test_meta_says_what_galaxy_needs(role):
    meta = load(role / "meta" / "main.yml")
    assert meta["dependencies"] == []
    info = meta["galaxy_info"]
    assert info["license"] == "GPL-3.0-or-later"
    assert info["min_ansible_version"] == "2.19"
    assert info["description"]


@pytest.mark.parametrize("role", PUBLIC, ids=lambda role: role.name)
def test_public_roles_can_be_validated_alone(role):
    """playbooks/site.yml refuses bad input of all roles before the first one changes anything."""
    entries = entry_points(role)
    assert entries["validate"]["options"] == entries["main"]["options"]
    first = load(role / "tasks" / "main.yml")[0]
    assert first["ansible.builtin.include_tasks"] == "validate.yml"
    assert first["when"] == "not __site_validated | default(false)"


def test_roles_that_site_uses_are_validated_by_it():
    """That of the apps first, since it finds out whether anything is to do."""
    play = load(ROOT / "playbooks" / "site.yml")[0]
    used = [entry["role"].removeprefix("emperor.web.") for entry in play["roles"]]
    first, end, others, _packages = play["pre_tasks"]
    assert first["ansible.builtin.include_role"] == {"name": "emperor.web.django", "tasks_from": "validate"}
    assert end["ansible.builtin.meta"] == "end_host"
    assert others["ansible.builtin.include_role"]["tasks_from"] == "validate"
    assert [*others["loop"], "django"] == used
