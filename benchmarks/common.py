"""What the benchmarks share: a host in a container, plays against it, and figures with their spread."""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "dev"))
import lab

RESULTS = lab.CACHE / "benchmarks"


class Host:
    """A container that stands for a server; dev/lab.py starts and removes it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *argv: str, check: bool = True, given: str | None = None) -> str:
        """Run a program inside the container; what it says is returned."""
        done = subprocess.run(
            ["docker", "exec", *(["--interactive"] if given is not None else []), self.name, *argv],
            input=given, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise lab.Missing(f"{shlex.join(argv)} failed on {self.name}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout.strip("\n")

    def put(self, path: str, text: str) -> None:
        """Write a file, at once."""
        self.run("sh", "-c", f"cat > {path}.tmp && mv {path}.tmp {path}", given=text)

    def connection(self, _place: Path) -> dict[str, str]:
        """How Ansible reaches it."""
        return {"ansible_connection": "community.docker.docker"}

    def play(self, tools: Path, place: Path, plays: list[dict], may_fail: bool = False) -> str:
        """Run plays against the container; the controller gives way, as it is another machine in real life."""
        inventory = self.connection(place) | {
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_pipelining": True,
        }
        (place / "inventory.json").write_text(json.dumps({"all": {"hosts": {self.name: inventory}}}))
        (place / "play.yml").write_text(json.dumps(plays))
        variables = {
            "ANSIBLE_COLLECTIONS_PATH": str(lab.ROOT / "playbooks/collections"),
            "ANSIBLE_HOME": str(lab.ROOT / ".ansible"),
            "NO_COLOR": "1",
        }
        command = ["nice", tools / "bin/ansible-playbook", "-i", place / "inventory.json", place / "play.yml"]
        done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
        if done.returncode and not may_fail:
            raise lab.Missing(f"ansible-playbook failed:\n{done.stdout[-4000:]}{done.stderr[-1000:]}")
        return done.stdout

    def versions(self) -> dict[str, str]:
        """The programs of the host that are measured."""
        return {
            "host": self.run("sh", "-c", ". /etc/os-release; echo $PRETTY_NAME"),
            "nginx": self.run("sh", "-c", "nginx -v 2>&1").rpartition("/")[2],
            "uWSGI": self.run("uwsgi", "--version"),
        }


class Server(Host):
    """A container in which systemd and sshd run; plays reach it over SSH, each by a connection of its own."""

    key: Path
    address: str
    gateway: str

    def start(self, image: str, key: Path) -> None:
        """A fresh one with what a new server has: sshd that knows the key, sudo, python3-apt, no lists of packages."""
        self.key = key
        lab.down(self.name)
        lab.up(self.name, image)
        packages = "openssh-server python3-apt sudo"
        install = f"apt-get update -qq && apt-get install -qq --yes --no-install-recommends {packages}"
        forget = "rm -rf /var/lib/apt/lists/* && touch -d yesterday /var/lib/apt/lists"
        self.run("sh", "-c", f"export DEBIAN_FRONTEND=noninteractive; {install} && {forget}")
        self.run("install", "-d", "-m", "700", "/root/.ssh")
        self.put("/root/.ssh/authorized_keys", key.with_suffix(".pub").read_text())
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.Gateway}}{{end}}"
        self.address, self.gateway = lab.run("docker", "inspect", "--format", form, self.name).stdout.split()

    def known(self, address: str, port: int) -> str:
        """The line of known_hosts by which the host is recognised there."""
        name = address if port == 22 else f"[{address}]:{port}"
        return f"{name} {self.run('cat', '/etc/ssh/ssh_host_ed25519_key.pub').rpartition(' ')[0]}\n"

    def connection(self, place: Path) -> dict[str, str]:
        known = place / "known_hosts"
        if not known.exists():
            known.write_text(self.known(self.address, 22))
        return {
            "ansible_host": self.address,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o IdentitiesOnly=yes",
            "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60s",
            "ansible_control_path_dir": str(place / "ssh"),
        }

    def play(self, tools: Path, place: Path, plays: list[dict], may_fail: bool = False) -> str:
        try:
            return super().play(tools, place, plays, may_fail)
        finally:
            hang_up(place / "ssh")


def make_key(place: Path) -> Path:
    """A key pair of this run."""
    lab.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / "key")
    return place / "key"


def hang_up(folder: Path) -> None:
    """End connections that are kept, so that each run pays for its own."""
    for path in folder.glob("*"):
        if path.is_socket():
            subprocess.run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "-"], capture_output=True, check=False)


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": round(middle, 3), "q1": round(low, 3), "q3": round(high, 3)}


def machine() -> dict[str, str | int]:
    """Where it was measured."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return {
        "cores": os.cpu_count() or 0,
        "cpu": names[0] if names else platform.machine(),
        "system": platform.platform(),
    }


def publish(report: dict, output: Path, text: str, keys: tuple[str, ...]) -> None:
    """Write all of it to a file, and print its table and what it was measured with."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n")
    print(text)
    for key in keys:
        print(f"{key}: {report[key] if key == 'date' else ', '.join(f'{k} {v}' for k, v in report[key].items())}")
    print(f"all samples: {output}")


def drawing(title: str, parts: list[str], size: tuple[float, float]) -> str:
    """A picture (SVG) of these parts, on white."""
    head = f'viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}" role="img"'
    style = 'font-family="sans-serif" font-size="12"'
    ground = [f"<title>{title}</title>", '<rect width="100%" height="100%" fill="#fff"/>']
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {head} {style}>', *ground, *parts, "</svg>", ""])


COLOURS = ("#2f6f4f", "#c8403a", "#e08e45", "#4a6fa5", "#8a5fa0")
WIDTH, HEIGHT, LEFT, TOP = 420, 240, 60, 30


def plot(what: str, found: dict[str, dict[float, list[float]]]) -> str:
    """A picture with a line for each way: medians of the second run over what grows, the number of hosts for one."""
    medians = {way: {size: spread(v)["median"] for size, v in sorted(values.items())} for way, values in found.items()}
    sizes = sorted({size for values in medians.values() for size in values})
    most = max(seconds for values in medians.values() for seconds in values.values())
    span = (sizes[-1] - sizes[0]) or 1.0

    def place(size: float, seconds: float) -> str:
        return f"{LEFT + WIDTH * (size - sizes[0]) / span:.1f} {TOP + HEIGHT * (1 - seconds / most):.1f}"

    bottom = TOP + HEIGHT
    parts = [f'<path d="M{LEFT} {TOP}V{bottom}H{LEFT + WIDTH}" fill="none" stroke="#333"/>']
    for seconds in (0.0, most / 2, most):
        y = place(sizes[0], seconds).split()[1]
        parts.append(f'<text x="{LEFT - 6}" y="{y}" text-anchor="end">{seconds:.0f} s</text>')
    for size in sizes:
        x = place(size, 0).split()[0]
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{size:g}</text>')
    parts.append(f'<text x="{LEFT + WIDTH / 2}" y="{bottom + 34}" text-anchor="middle">{what}</text>')
    for number, (way, values) in enumerate(medians.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " L".join(place(size, seconds) for size, seconds in values.items())
        parts.append(f'<path d="M{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + WIDTH + 12}" y="{TOP + 14 + 18 * number}" fill="{colour}">{way}</text>')
    return drawing(f"Seconds of a second run, by {what}", parts, (LEFT + WIDTH + 300, bottom + 44))


def revision() -> str:
    """The commit of this collection."""
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=lab.ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"
