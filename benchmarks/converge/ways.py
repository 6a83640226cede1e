"""The ways that are compared: what each is started with for a whole site, a release, and the way back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from common import Server, hang_up, lab
from hosts import DOMAIN, UNWATCHED, Odd, tools_environment

PEERS = lab.ROOT / "benchmarks/peers"
PYINFRA, MITOGEN = "pyinfra==3.10.0", "mitogen==0.3.54"
SITE, RELEASE, ROLLBACK = "site", "release", "rollback"
OURS, PYINFRA_ALL, PYINFRA_NEW, STOCK, OURS_MITOGEN = (
    "emperor.web",
    "pyinfra",
    "pyinfra, Django's commands for new code only",
    "stock roles",
    "emperor.web, Mitogen",
)
# Of this benchmark only; the hosts are thrown away with it.
SECRET_KEY = "a-key-of-the-benchmark-that-is-long-enough-to-be-one-0123456789"


@dataclass
class Target:
    """A host as the ways are told of it; another address and port lead through a relay."""

    server: Server
    address: str
    port: int = 22


@dataclass
class Setting:
    """What all ways share in one run."""

    place: Path
    tools: Path
    key: Path
    source: str

    def known_hosts(self, targets: list[Target]) -> Path:
        path = self.place / "known_hosts"
        path.write_text("".join(target.server.known(target.address, target.port) for target in targets))
        return path


@dataclass
class Done:
    """One run of a way."""

    seconds: float
    output: str
    changed: int


@dataclass(eq=False)
class Way:
    """What to start; extra are variables of the environment."""

    name: str
    setting: Setting
    extra: dict[str, str] = field(default_factory=dict)

    def run(self, what: str, version: str, targets: list[Target], **variables: str) -> Done:
        """Start the program as a user does, with nothing left over of an earlier run, and wait for its end."""
        with tempfile.TemporaryDirectory(prefix="em-", dir="/tmp") as folder:
            argv = self.command(what, version, targets, Path(folder))
            environment = tools_environment() | self.environment(Path(folder)) | self.extra | variables
            began = time.monotonic()
            done = subprocess.run(
                [str(word) for word in argv], cwd=self.folder(), env=environment, text=True, check=False,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            seconds = time.monotonic() - began
            hang_up(Path(folder))
        if done.returncode:
            raise lab.Missing(f"{self.name}, {what}: {argv[0]} ended with {done.returncode}:\n{done.stdout[-4000:]}")
        return Done(seconds, done.stdout, self.changed(done.stdout))

    def folder(self) -> Path:
        return self.setting.place

    def command(self, what: str, version: str, targets: list[Target], scratch: Path) -> list[str | Path]:
        raise NotImplementedError

    def environment(self, scratch: Path) -> dict[str, str]:
        raise NotImplementedError

    def changed(self, output: str) -> int:
        raise NotImplementedError


class Ansible(Way):
    """ansible-playbook with pipelining and connections that are kept during the run."""

    def environment(self, scratch: Path) -> dict[str, str]:
        return {
            "ANSIBLE_HOME": str(lab.ROOT / ".ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(lab.ROOT / "playbooks/collections"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(scratch),
        }

    def command(self, what: str, version: str, targets: list[Target], scratch: Path) -> list[str | Path]:
        known = self.setting.known_hosts(targets)
        hosts = {
            target.server.name: {"ansible_host": target.address, "ansible_port": target.port} for target in targets
        }
        common = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.setting.key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o IdentitiesOnly=yes",
        }
        inventory = {"all": {"hosts": hosts, "vars": common | self.variables(version)}}
        path = scratch / "inventory.json"
        path.write_text(json.dumps(inventory))
        return [self.setting.tools / "bin/ansible-playbook", "-i", path, self.playbook(what)]

    def variables(self, version: str) -> dict[str, object]:
        raise NotImplementedError

    def playbook(self, what: str) -> str | Path:
        raise NotImplementedError

    def changed(self, output: str) -> int:
        counts = re.findall(r"ok=\d+ +changed=(\d+) +unreachable=0 +failed=0", output)
        if not counts:
            raise Odd(f"{self.name} ended without a recap:\n{output[-2000:]}")
        return sum(int(count) for count in counts)


class Ours(Ansible):
    """The collection, with the inventory of its README."""

    def variables(self, version: str) -> dict[str, object]:
        app = {"name": "guestbook", "source": self.setting.source, "version": version, "domains": [DOMAIN]}
        health = {"health": {"settle": 0}} if version.startswith(UNWATCHED) else {}
        return {"locale_default": "en_US.UTF-8", "django_apps": [app | {"uwsgi": {"processes": 4}} | health]}

    def playbook(self, what: str) -> str:
        return {SITE: "emperor.web.site", RELEASE: "emperor.web.deploy", ROLLBACK: "emperor.web.rollback"}[what]


class Stock(Ansible):
    """benchmarks/peers/stock."""

    def variables(self, version: str) -> dict[str, object]:
        return {
            "project_source": self.setting.source,
            "project_version": version,
            "project_secret_key": SECRET_KEY,
        }

    def playbook(self, what: str) -> Path:
        names = {SITE: "site.yml", RELEASE: "deploy.yml", ROLLBACK: "rollback.yml"}
        return PEERS / "stock" / names[what]


class Pyinfra(Way):
    """benchmarks/peers/pyinfra."""

    always = True

    def folder(self) -> Path:
        return PEERS / "pyinfra"

    def environment(self, scratch: Path) -> dict[str, str]:
        return {"PYTHONDONTWRITEBYTECODE": "1"}

    def command(self, what: str, version: str, targets: list[Target], scratch: Path) -> list[str | Path]:
        known = self.setting.known_hosts(targets)
        common = {
            "ssh_user": "root",
            "ssh_key": str(self.setting.key),
            "ssh_known_hosts_file": str(known),
            "ssh_strict_host_key_checking": "yes",
            "ssh_allow_agent": False,
            "ssh_look_for_keys": False,
            "source": self.setting.source,
            "version": version,
            "secret_key": SECRET_KEY,
            "always_manage": self.always,
        }
        hosts = [
            (target.server.name, common | {"ssh_hostname": target.address, "ssh_port": target.port})
            for target in targets
        ]
        path = scratch / "inventory.py"
        path.write_text(f"hosts = {hosts!r}\n")
        deploys = {SITE: ["host.py", "app.py"], RELEASE: ["app.py"], ROLLBACK: ["rollback.py"]}[what]
        return [have_pyinfra(self.setting.tools) / "bin/pyinfra", "-y", path, *deploys]

    def changed(self, output: str) -> int:
        """The last line of its table of results has the sum of operations, of those that changed, and the rest."""
        found = re.search(r"Grand total\s*│?\s*(\d+)\s*│?\s*(\d+|-)", output)
        if not found:
            raise Odd(f"{self.name} ended without its table of results:\n{output[-2000:]}")
        return 0 if found.group(2) == "-" else int(found.group(2))


class PyinfraNew(Pyinfra):
    always = False


def have_pyinfra(tools: Path) -> Path:
    """A virtual environment with pyinfra, of the benchmarks' own."""
    return have(tools, PYINFRA, "environment")


def have_mitogen(tools: Path) -> Path:
    """A folder with Mitogen's packages, to be put on the path of Python."""
    return have(tools, MITOGEN, "target")


def have(tools: Path, requirement: str, kind: str) -> Path:
    folder = lab.CACHE / "benchmarks" / f"{requirement.replace('==', '-')}-{tools.name}"
    with lab.locked("benchmarks"):
        if not (folder / "complete").exists():
            lab.say(f"Installing {requirement} …")
            shutil.rmtree(folder, ignore_errors=True)
            where = ["--target", folder]
            if kind == "environment":
                lab.run(tools / "bin/uv", "venv", "--quiet", "--python", tools / "bin/python", folder)
                where = ["--python", folder / "bin/python"]
            install = [tools / "bin/uv", "pip", "install", "--quiet", "--compile-bytecode", *where, requirement]
            lab.run(*install, env=tools_environment() | {"UV_SYSTEM_CERTS": "true"})
            (folder / "complete").touch()
    return folder


def mitogen_variables(tools: Path) -> dict[str, str]:
    """What has Ansible run its tasks by Mitogen."""
    folder = have_mitogen(tools)
    return {
        "PYTHONPATH": str(folder),
        "ANSIBLE_STRATEGY_PLUGINS": str(folder / "ansible_mitogen/plugins/strategy"),
        "ANSIBLE_STRATEGY": "mitogen_linear",
    }


def all_ways(setting: Setting) -> list[Way]:
    """Each with a host of its own but for the second of pyinfra, which is the first one with less to do."""
    return [
        Ours(OURS, setting),
        Pyinfra(PYINFRA_ALL, setting),
        Stock(STOCK, setting),
        Ours(OURS_MITOGEN, setting, extra=mitogen_variables(setting.tools)),
    ]
