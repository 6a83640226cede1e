#!/usr/bin/env python3
"""Tools and hosts for development: Python environments, a Docker engine, and containers that boot like a server.

    lab.py up NAME [--image IMAGE] [--publish PORT] [--controllers]
                                                       start a fresh container, or leave a running one as it is
    lab.py down NAME                                   remove a container

It needs Python 3.11 or later, and nothing else that is not part of it. IMAGE is a name such as ubuntu:24.04, which is
pulled from a registry, or debian:trixie, which is built with debootstrap. ubuntu-on-debian:trixie is the same with
Ubuntu's os-release: Debian's packages, but the branches that the roles take on Ubuntu. --controllers lets its systemd
limit memory, processes and processors also where this machine has those controllers as cgroup v1; systemd 257 is the
last that can use them.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
REQUIREMENTS = ROOT / "dev" / "requirements.txt"
UV = "uv==0.13.9"

# Which release each of Debian's brackets in the versions of Nginx, uWSGI, Python and systemd.
PULLED = ("ubuntu:22.04", "ubuntu:24.04", "ubuntu:26.04")
BUILT = ("debian:bookworm", "debian:trixie", "debian:forky", "ubuntu-on-debian:trixie")
UBUNTU_RELEASE = """PRETTY_NAME="Ubuntu 24.04 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
"""


class Missing(Exception):
    """Something that cannot be set up from here; the message says what, and what to do."""


def run(*argv: str | Path, quiet: bool = True, **kwargs) -> subprocess.CompletedProcess[str]:
    """Run a program; its output is shown only when it fails."""
    done = subprocess.run(
        [str(argument) for argument in argv],
        text=True,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        **kwargs,
    )
    if done.returncode:
        raise Missing(f"{' '.join(str(argument) for argument in argv)} failed:\n{(done.stdout or '').strip()[-4000:]}")
    return done


def say(text: str) -> None:
    """Tell the person what takes the time."""
    print(text, flush=True)


@contextmanager
def locked(name: str):
    """Let only one process at a time set something up."""
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# Python environments.


def virtualenv(python: str = sys.executable) -> Path:
    """An environment with the tools, for the given interpreter; made again when the requirements change."""
    version = run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").stdout.strip()
    folder = ROOT / ".venv" / version
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + UV.encode()).hexdigest()
    done = folder / "emperor-requirements"
    with locked("virtualenv"):
        if done.exists() and done.read_text() == wanted:
            return folder
        say(f"Setting up {folder.relative_to(ROOT)} …")
        if subprocess.run([python, "-c", "import ensurepip"], capture_output=True).returncode:
            apt_install(f"python{version}-venv", why="Python's module venv is not complete")
        shutil.rmtree(folder, ignore_errors=True)
        run(python, "-m", "venv", folder)
        run(folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV)
        environment = os.environ | {"UV_SYSTEM_CERTS": "true"}
        interpreter = folder / "bin/python"
        run(
            folder / "bin/uv", "pip", "install", "--quiet", "--python", interpreter, "-r", REQUIREMENTS, env=environment
        )
        done.write_text(wanted)
    return folder


def newer_python() -> str | None:
    """An interpreter that the newest ansible-core runs on, 3.12 or later, where there is one."""
    names = [f"python3.{minor}" for minor in (14, 13, 12)]
    found = [shutil.which(name) for name in names]
    found += [str(path) for name in names for path in Path.home().glob(f".pyenv/versions/*/bin/{name}")]
    for path in [sys.executable, *found]:
        probe = "import sys, ensurepip; sys.exit(sys.version_info < (3, 12))"
        if path and subprocess.run([path, "-c", probe], capture_output=True).returncode == 0:
            return path
    return None


def apt_install(*packages: str, why: str) -> None:
    """Install packages where that is possible without asking, else say which ones are needed."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing(f"{why}. Install it, on Debian and Ubuntu with: sudo apt-get install {' '.join(packages)}")
    say(f"Installing {' '.join(packages)} …")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with locked("apt"):  # apt-get update does not wait for another one
        run("apt-get", "update", env=environment)
        run("apt-get", "install", "--yes", "--no-install-recommends", *packages, env=environment)


def have_browser() -> list[str]:
    """Chromium, its driver, and the program that tells it whom to trust; installed where they are lacking."""
    with locked("browser"):
        if not all(_browser()):
            packages = ("chromium", "chromium-driver", "libnss3-tools", "fonts-dejavu-core")
            apt_install(*packages, why="The example is looked at with Chromium, which is not complete")
        found = [path for path in _browser() if path]
    if len(found) < 3:
        raise Missing("Chromium is installed, but chromium, chromedriver or certutil is not to be found")
    return found


def _browser() -> list[str | None]:
    path = f"{os.environ['PATH']}:{os.environ.get('CHROMEWEBDRIVER', '')}"
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    return [browser, shutil.which("chromedriver", path=path), shutil.which("certutil")]


# The collection as its users get it.


def install_collection(tools: Path) -> Path:
    """Build the collection, install the artifact, and return the folder to use as ANSIBLE_COLLECTIONS_PATH."""
    target = CACHE / "collections"
    with locked("collection"), tempfile.TemporaryDirectory() as folder:
        galaxy = tools / "bin/ansible-galaxy"
        run(galaxy, "collection", "build", "--output-path", folder, cwd=ROOT)
        artifact = next(Path(folder).glob("emperor-web-*.tar.gz"))
        run(galaxy, "collection", "install", "--force", "--no-deps", "--offline", "-p", target, artifact, cwd=folder)
    return target


# Docker.


def engine() -> None:
    """Have a Docker engine that answers; on Debian and Ubuntu, as root, install and start one."""
    if shutil.which("docker") and _answers():
        return
    if os.geteuid() != 0:
        raise Missing(
            "No Docker engine answers. Install Docker and start it, or join the group docker (then log in again); "
            "see https://docs.docker.com/engine/install/"
        )
    with locked("engine"):
        if not shutil.which("dockerd"):
            apt_install("docker.io", why="Docker is not installed")
        if _answers():
            return
        say("Starting a Docker engine …")
        log = CACHE / "dockerd.log"
        with open(log, "w") as output:
            subprocess.Popen(
                ["dockerd"], stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
            )
        for _attempt in range(120):
            if _answers():
                return
            time.sleep(0.5)
    raise Missing(f"dockerd does not start; its log ends with:\n{log.read_text()[-2000:]}")


def _answers() -> bool:
    return subprocess.run(["docker", "info"], capture_output=True).returncode == 0


def tag_of(image: str) -> str:
    """The name of the test image that boots systemd; a digest of all that goes into it is part of the name."""
    definition = (ROOT / "dev/Dockerfile").read_bytes() + UBUNTU_RELEASE.encode()
    for certificate in _certificates():
        definition += certificate.read_bytes()
    return f"emperor-test:{image.replace(':', '-')}-{hashlib.sha256(definition).hexdigest()[:8]}"


def _certificates() -> list[Path]:
    """The certificate authorities that this machine trusts besides the usual ones; its containers must do the same."""
    return sorted(Path("/usr/local/share/ca-certificates").glob("*.crt"))


def have_image(image: str) -> str:
    """Build a test image unless it is there; returns its tag."""
    engine()
    tag = tag_of(image)
    with locked(f"image-{image.replace(':', '-')}"):
        if subprocess.run(["docker", "image", "inspect", tag], capture_output=True).returncode == 0:
            return tag
        name, _colon, version = image.partition(":")
        if image in BUILT:
            base = _debian_base(version)
        elif can_pull(image):
            base = image
        else:
            raise Missing(f"{image} cannot be pulled from a registry; built here can be {', '.join(BUILT)}")
        say(f"Building the test image {tag} …")
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            shutil.copy(ROOT / "dev/Dockerfile", context)
            (context / "root/usr/local/share/ca-certificates").mkdir(parents=True)
            for certificate in _certificates():
                shutil.copy(certificate, context / "root/usr/local/share/ca-certificates")
            if name == "ubuntu-on-debian":
                (context / "root/usr/lib").mkdir(parents=True)
                (context / "root/usr/lib/os-release").write_text(UBUNTU_RELEASE)
            environment = os.environ | {"DOCKER_BUILDKIT": "0"}
            run("docker", "build", "--tag", tag, "--build-arg", f"BASE={base}", context, env=environment)
    return tag


def can_pull(image: str) -> bool:
    """Whether a registry hands the image out, or has done so before."""
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode == 0:
        return True
    try:
        return subprocess.run(["docker", "pull", "--quiet", image], capture_output=True, timeout=300).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _debian_base(suite: str) -> str:
    tag = f"emperor-base:{suite}"
    with locked(f"base-{suite}"):
        if subprocess.run(["docker", "image", "inspect", tag], capture_output=True).returncode == 0:
            return tag
        if os.geteuid() != 0:
            raise Missing("No registry hands out Ubuntu's image, and building one from Debian's packages needs root")
        with locked("debootstrap"):
            if not shutil.which("debootstrap"):
                apt_install("debootstrap", "debian-archive-keyring", why="debootstrap is not installed")
        script = Path("/usr/share/debootstrap/scripts") / suite
        if not script.exists():
            script.symlink_to("sid")
        say(f"Building a base image from Debian {suite} with debootstrap, about two minutes …")
        with tempfile.TemporaryDirectory() as folder:
            run("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,python3", suite, folder)
            subprocess.run(
                f"tar --create --directory {folder} . | docker import - {tag}",
                shell=True,
                check=True,
                stdout=subprocess.DEVNULL,
            )
    return tag


def default_image() -> str:
    """Ubuntu where a registry hands it out, else Debian."""
    chosen = os.environ.get("EMPEROR_IMAGE")
    if chosen:
        return chosen
    engine()
    return "ubuntu:24.04" if can_pull("ubuntu:24.04") else "debian:trixie"


# Hosts.


def up(name: str, image: str, publish: str | None = None, *, controllers: bool = False) -> None:
    """Boot a container like a server: systemd is its first process, and it has no privilege but to mount."""
    tag = have_image(image)
    found = subprocess.run(
        ["docker", "inspect", "--format", "{{.State.Running}} {{.Config.Image}}", name], capture_output=True, text=True
    )
    if found.stdout.split() == ["true", tag]:
        return
    down(name)
    options = ["--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"]
    legacy = controllers and os.path.isdir("/sys/fs/cgroup/memory") and "forky" not in image
    cgroup = "/sys/fs/cgroup" if legacy else _cgroup()
    options += ["--tmpfs=/run", "--tmpfs=/run/lock", "--cgroupns=host", f"--volume={cgroup}:/sys/fs/cgroup:rw"]
    options += ["--stop-signal=SIGRTMIN+3", "--env=container=docker", f"--hostname={name}"]
    if publish:
        options.append(f"--publish={publish}")
    # In a container systemd takes its arguments for those of the kernel.
    words = ["SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1", "systemd.unified_cgroup_hierarchy=0"]
    command = ["/lib/systemd/systemd", *words] if legacy else []
    run("docker", "run", "--detach", f"--name={name}", *options, tag, *command)
    wait_for_boot(name)


def wait_for_boot(name: str) -> None:
    """Return when systemd has started everything."""
    for _attempt in range(120):
        state = subprocess.run(
            ["docker", "exec", name, "systemctl", "is-system-running"], capture_output=True, text=True
        )
        if state.stdout.strip() in ("running", "degraded"):
            return
        time.sleep(0.25)
    log = subprocess.run(["docker", "logs", "--tail=20", name], capture_output=True, text=True)
    raise Missing(f"the container {name} does not boot ({state.stdout.strip()}): {log.stdout}{log.stderr}")


def down(name: str) -> None:
    """Remove a container with what it has written."""
    subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True)


def _cgroup() -> str:
    """Where this machine has its cgroup v2 tree, which systemd 256 and later insists on."""
    for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.path.exists(f"{path}/cgroup.procs"):
            return path
    raise Missing("this machine has no cgroup v2 tree, which systemd in a container needs; boot with a newer kernel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up")
    start.add_argument("name")
    start.add_argument("--image")
    start.add_argument("--publish")
    start.add_argument("--controllers", action="store_true")
    commands.add_parser("down").add_argument("name")
    given = parser.parse_args()
    if given.command == "up":
        up(given.name, given.image or default_image(), given.publish, controllers=given.controllers)
    else:
        down(given.name)


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit("Python 3.11 or later is needed to develop or demonstrate emperor.web; hosts need 3.10.")
    try:
        main()
    except Missing as missing:
        sys.exit(str(missing))
