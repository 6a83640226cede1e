# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as its users get it: built, installed into an empty folder, and used from another one."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
MODULES = sorted(f"emperor.web.{path.stem}" for path in (ROOT / "plugins/modules").glob("*.py"))
ROLES = sorted(f"emperor.web.{path.name}" for path in (ROOT / "roles").iterdir())
FILTERS = sorted(f"emperor.web.{path.stem}" for path in (ROOT / "plugins/filter").glob("*.py"))
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
# Everything else in the repository is for those who work on it.
TOP = {"CHANGELOG.rst", "LICENSE", "README.md", "changelogs", "docs", "examples", "inventory", "meta", "playbooks"}
TOP |= {"plugins", "roles"}

# A collection inside ansible-core 2.21, of which its ansible-doc misses the version.
ANSIBLES_OWN = "ansible_collections/ansible/_protomatter"


@dataclasses.dataclass
class Artifact:
    """The built collection, installed, and a folder to work in that has nothing else of it."""

    path: Path
    collections: Path
    folder: Path

    @property
    def installed(self) -> Path:
        return self.collections / "ansible_collections/emperor/web"

    @property
    def files(self) -> set[str]:
        """The files of the archive, but for those that Ansible Galaxy adds."""
        with tarfile.open(self.path) as archive:
            names = {member.name for member in archive if not member.isdir()}
        return names - {"MANIFEST.json", "FILES.json"}

    def run(self, *argv: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """A program of the tools, without the checkout in its way; it has to succeed and to warn of nothing."""
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
        environment = kept | {
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_HOME": str(self.folder / ".ansible"),
            "NO_COLOR": "1",
            **variables,
        }
        command = [str(argument) for argument in argv]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        complaints = re.findall(r"^\[?(?:WARNING|ERROR|DEPRECATION).*", done.stdout + done.stderr, re.MULTILINE)
        assert [line for line in complaints if ANSIBLES_OWN not in line] == []
        return done


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("elsewhere")
    galaxy = [TOOLS / "ansible-galaxy", "collection"]
    subprocess.run([*galaxy, "build", "--output-path", folder], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (path,) = folder.glob("emperor-web-*.tar.gz")
    built = Artifact(path, folder / "collections", folder / "work")
    built.folder.mkdir()
    built.run(*galaxy, "install", "--offline", "--collections-path", built.collections, path)
    return built


def test_it_has_the_files_that_users_need_and_no_others(artifact: Artifact):
    """Neither tests nor caches, and all of the rest that is not ignored by Git."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    there = [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]
    links = "playbooks/collections/"  # makes the checkout a collection
    wanted = {name for name in there if name.split("/")[0] in TOP and not name.startswith(links)}
    assert artifact.files == wanted


def test_the_command_of_the_readme_installs_the_same(artifact: Artifact, tmp_path: Path):
    """From the checkout, in a folder that is not it: there ansible.cfg would have the checkout count as installed."""
    (command,) = re.findall(r"^ *(ansible-galaxy collection .*)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert "/path/to/emperor.web" in command
    command = command.replace("/path/to/emperor.web", str(ROOT))
    artifact.run("sh", "-c", command, ANSIBLE_COLLECTIONS_PATH=str(tmp_path))
    installed = tmp_path / "ansible_collections/emperor/web"
    files = {str(path.relative_to(installed)) for path in installed.rglob("*") if not path.is_dir()}
    assert files - {"MANIFEST.json", "FILES.json"} == artifact.files


def test_the_repository_is_the_same_on_each_machine():
    """A link to a folder of one machine breaks the next checkout; what is ignored was committed by mistake."""
    listed = ["git", "ls-files", "-z", "--cached"]
    names = [
        subprocess.check_output(argv, cwd=ROOT, text=True) for argv in (listed, [*listed, "-i", "--exclude-standard"])
    ]
    tracked, ignored = ([name for name in text.split("\0") if name] for text in names)
    links = [ROOT / name for name in tracked if (ROOT / name).is_symlink()]
    assert links
    assert [str(link) for link in links if not link.resolve().is_relative_to(ROOT)] == []
    assert ignored == []


def test_links_of_its_pages_lead_to_files_that_it_has(artifact: Artifact):
    pages = [name for name in artifact.files if name.endswith(".md")]
    assert {"README.md", "docs/settings.md", "roles/django/README.md"} <= set(pages)
    lost = []
    for page in pages:
        text = (artifact.installed / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", text):
            if not (artifact.installed / page).parent.joinpath(target).exists():
                lost.append(f"{page}: {target}")
    assert lost == []


@pytest.mark.parametrize(("kind", "names"), [("module", MODULES), ("role", ROLES), ("filter", FILTERS)])
def test_ansible_doc_shows_each(artifact: Artifact, kind: str, names: list[str]):
    public = [name for name in names if not name.startswith("emperor.web._")]
    assert public
    shown = json.loads(artifact.run("ansible-doc", "--type", kind, "--json", *public).stdout)
    assert sorted(shown) == public
    assert all(about.get("doc") or about.get("entry_points") for about in shown.values())
    # What people read is made by other code than the JSON.
    text = artifact.run("ansible-doc", "--type", kind, *public).stdout
    assert [name for name in public if name not in text] == []


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_playbooks_are_found_by_their_names(artifact: Artifact, name: str):
    inventory = artifact.installed / "inventory/many-hosts.yml"
    artifact.run("ansible-playbook", "-i", inventory, "--syntax-check", f"emperor.web.{name}")


def test_a_module_and_a_filter_work(artifact: Artifact):
    """Both with what they import of the collection; the example project is judged by Django's own checks."""
    guestbook = artifact.installed / "examples/guestbook"
    environment = {
        "SECRET_KEY": "a-key-that-is-long-enough-for-every-check-of-django-0123456789",
        "DATABASE_URL": f"sqlite:///{artifact.folder}/db.sqlite3",
        "STATIC_ROOT": f"{artifact.folder}/static",
        "MEDIA_ROOT": f"{artifact.folder}/media",
        "ALLOWED_HOSTS": "example.com",
    }
    check = {"project": str(guestbook), "python": sys.executable, "environment": environment}
    apps = [{"name": "shop", "source": "https://example.com/shop.git", "domains": ["shop.example.com"]}]
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable, "apps": apps},
        "tasks": [
            {"name": "Check", "emperor.web.django_check": check},
            {
                "name": "Complete",
                "ansible.builtin.debug": {"msg": "{{ (apps | emperor.web.django_apps)[0].root }}"},
            },
        ],
    }
    playbook = artifact.folder / "play.yml"
    playbook.write_text(yaml.safe_dump([play]), encoding="utf-8")
    out = artifact.run("ansible-playbook", "-i", "localhost,", playbook).stdout
    assert "ok=2" in out
    assert '"/srv/django/shop"' in out


def test_galaxy_accepts_it(artifact: Artifact):
    """All that Ansible Galaxy does with an upload but ansible-lint, which the stage lint runs with stricter rules."""
    importer = (sys.executable, "-m", "galaxy_importer.main", artifact.path)
    done = artifact.run(*importer, GALAXY_IMPORTER_RUN_ANSIBLE_LINT="false")
    assert "Importer processing completed successfully" in done.stdout + done.stderr


def test_an_execution_environment_gets_what_a_controller_needs(artifact: Artifact):
    found = yaml.safe_load(artifact.run("ansible-builder", "introspect", artifact.collections).stdout)
    assert found.get("python", []) == []
    packages = artifact.folder / "bindep.txt"
    packages.write_text("\n".join(found["system"]), encoding="utf-8")
    listed = artifact.run("bindep", "--file", packages, "--list_all", "newline").stdout.split()
    assert listed in (["git", "openssh-client"], ["git", "openssh-clients"])


def test_a_context_for_an_execution_environment_can_be_made(artifact: Artifact):
    definition = {
        "version": 3,
        "images": {"base_image": {"name": "localhost/controller:latest"}},
        "dependencies": {"galaxy": {"collections": [{"name": artifact.path.name, "type": "file"}]}},
    }
    (artifact.folder / "execution-environment.yml").write_text(yaml.safe_dump(definition), encoding="utf-8")
    artifact.run("ansible-builder", "create", "--output-filename", "Containerfile")
    context = artifact.folder / "context"
    assert artifact.path.name in (context / "_build/requirements.yml").read_text(encoding="utf-8")
    assert "ansible-galaxy collection install" in (context / "Containerfile").read_text(encoding="utf-8")


def test_its_version_has_a_changelog_or_can_have_one(artifact: Artifact, tmp_path: Path):
    """What is released is told in CHANGELOG.rst; before that the fragments have to make it."""
    copy = tmp_path / "ansible_collections/emperor/web"
    shutil.copytree(artifact.installed, copy)
    shutil.copy(ROOT / "galaxy.yml", copy)
    version = yaml.safe_load((copy / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    released = yaml.safe_load((copy / "changelogs/changelog.yaml").read_text(encoding="utf-8"))["releases"]
    written = copy / "CHANGELOG.rst"
    before = written.read_text(encoding="utf-8") if version in released else None
    work = dataclasses.replace(artifact, folder=copy, collections=tmp_path)
    work.run("antsibull-changelog", "generate" if version in released else "release")
    after = written.read_text(encoding="utf-8")
    assert f"\nv{version}\n" in after
    assert "- emperor.web.django_migrate - " in after
    assert before in (None, after)
