#!/usr/bin/env python3
"""Put a Django project live in a container, by the same playbook that a real host gets.

    demo.py up [--source SOURCE] [--version VERSION]    the example project, or another: Git URL, archive or folder
    demo.py down                                        remove the container

EMPEROR_IMAGE chooses the container's image (see lab.py), EMPEROR_DEMO_PORT the port on this machine.
EMPEROR_DEMO_VARS names a YAML file with more options of the app, for projects that need some: environment, health.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.parse

import lab

NAME = "emperor-demo"
EXAMPLE = lab.ROOT / "examples" / "guestbook"
MAKE_ADMIN = """
from django.contrib.auth import get_user_model
user, _created = get_user_model().objects.get_or_create(
    **{{get_user_model().USERNAME_FIELD: "admin"}}, defaults={{"is_staff": True, "is_superuser": True}}
)
user.set_password({password!r})
user.save()
"""


def app_name(source: str) -> str:
    """A name for the app: the last part of where it comes from."""
    last = re.sub(r"\.(git|zip|tgz|tar(\.\w+)?)$", "", source.rstrip("/").rsplit("/", 1)[-1])
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:20].lstrip("0123456789-") or "app"


def free_port() -> int:
    """The port that was asked for, or the first free one from 8000 on."""
    if os.environ.get("EMPEROR_DEMO_PORT"):
        return int(os.environ["EMPEROR_DEMO_PORT"])
    for port in range(8000, 8100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise lab.Missing("no port between 8000 and 8099 is free; give one: EMPEROR_DEMO_PORT=… make demo")


def published_port() -> int | None:
    """The port of a demo that runs already, so that a second call keeps its URL."""
    done = subprocess.run(["docker", "port", NAME, "80/tcp"], capture_output=True, text=True)
    return int(done.stdout.split(":")[-1]) if done.returncode == 0 and done.stdout.strip() else None


def apps() -> list[str]:
    """The apps of a demo that runs already."""
    done = subprocess.run(["docker", "exec", NAME, "ls", "/srv/django"], capture_output=True, text=True)
    return done.stdout.split()


def up(source: str, version: str | None) -> None:
    """Make everything, and print where the site is."""
    started = time.monotonic()
    tools = lab.virtualenv()
    lab.engine()
    name = app_name(source)
    port = published_port() or free_port()
    if set(apps()) - {name}:
        lab.down(NAME)  # another project has the name localhost there
    image = lab.default_image()
    lab.up(NAME, image, publish=f"127.0.0.1:{port}:80")
    lab.say(f"A container made from {image} stands for the server.")
    app = {"name": name, "source": source, "domains": ["localhost", "127.0.0.1"]}
    app |= {"version": version} if version else {}
    app |= {"health": {"path": "/healthz"}} if source == str(EXAMPLE) else {}
    app |= more_options(tools)
    play(tools, app)
    password = secrets.token_urlsafe(9)
    made = manage(name, "shell", stdin=MAKE_ADMIN.format(password=password))
    url = f"http://localhost:{port}/"
    status = answer(url)
    lab.say("")
    lab.say(f"Live after {time.monotonic() - started:.0f} s, {image}: GET {url} answers {status}")
    lab.say(f"URL:    {url}")
    if made:
        lab.say(f"Admin:  {url}admin/  user admin, password {password}")
    else:
        lab.say(f"Admin:  make a login with: docker exec -it {NAME} {name}-manage createsuperuser")
    lab.say("Stop:   make demo-stop")


def more_options(tools) -> dict:
    """Options of the app from a file of the user's."""
    path = os.environ.get("EMPEROR_DEMO_VARS")
    if not path:
        return {}
    reader = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"
    return json.loads(lab.run(tools / "bin/python", "-c", reader, path).stdout)


def play(tools, app: dict) -> None:
    """Run the playbook by its name, from the installed collection, as a user would."""
    collections = lab.install_collection(tools)
    inventory = lab.CACHE / "demo.json"
    host = {"ansible_connection": "community.docker.docker", "ansible_user": "root"}
    host |= {"ansible_python_interpreter": "/usr/bin/python3", "django_apps": [app]}
    inventory.write_text(json.dumps({"all": {"hosts": {NAME: host}}}))
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_HOME": str(lab.ROOT / ".ansible"),
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
        "ANSIBLE_NOCOWS": "true",
    }
    playbook = [str(tools / "bin/ansible-playbook"), "--inventory", str(inventory), "emperor.web.site"]
    # Away from the checkout, so that nothing but the installed collection can be used.
    if subprocess.run(playbook, env=environment, cwd="/").returncode:
        raise lab.Missing("The playbook failed; its last message says why.")


def manage(app: str, *arguments: str, stdin: str) -> bool:
    """Run the app's manage command inside the container."""
    command = ["docker", "exec", "--interactive", NAME, f"{app}-manage", *arguments]
    return subprocess.run(command, input=stdin, text=True, capture_output=True).returncode == 0


def answer(url: str) -> int:
    """The status of a page; a redirect is not followed, it may lead to a name that this machine does not have."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)
    connection.request("GET", urllib.parse.urlsplit(url).path)
    return connection.getresponse().status


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up")
    start.add_argument("--source", default=str(EXAMPLE))
    start.add_argument("--version")
    commands.add_parser("down")
    given = parser.parse_args()
    if given.command == "up":
        source = os.path.expanduser(given.source)
        # The playbook does not run in this folder.
        up(os.path.abspath(source) if os.path.exists(source) else source, given.version)
    else:
        lab.down(NAME)
        lab.say("The demo is gone.")


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit("Python 3.11 or later is needed to run the demo; hosts need 3.10.")
    try:
        main()
    except lab.Missing as missing:
        sys.exit(str(missing))
