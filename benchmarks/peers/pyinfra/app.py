"""One release of the app, and its site: pyinfra inventory.py app.py --data version=v2"""

import layout
from pyinfra import host
from pyinfra.operations import files, git, pip, server, systemd

release = f"{layout.releases}/{host.data.version}"
owner = {"user": "root", "group": layout.name}

# The host's side of the app.

server.group(name="Make the app's group", group=layout.name, system=True)

server.user(
    name="Make the app's user",
    user=layout.name,
    group=layout.name,
    home=layout.shared,
    shell="/usr/sbin/nologin",
    system=True,
    ensure_home=False,
)

for path, access in {
    layout.root: {"user": "root", "group": "root", "mode": "755"},
    layout.releases: owner | {"mode": "750"},
    layout.shared: {"user": layout.name, "group": layout.name, "mode": "755"},
    f"{layout.shared}/media": {"user": layout.name, "group": layout.name, "mode": "755"},
    layout.static: {"user": layout.name, "group": layout.name, "mode": "755"},
}.items():
    files.directory(name=f"Make the folder {path}", path=path, **access)

environment = files.template(
    name="Write the environment",
    src="templates/env.j2",
    dest=layout.environment,
    mode="640",
    layout=layout,
    **owner,
)

# The release.

checkout = git.repo(
    name="Check the release out",
    src=host.data.source,
    dest=release,
    branch=host.data.version,
    depth=1,
)


def is_new() -> bool:
    """Whether this run has brought code to the host."""
    return host.data.always_manage or checkout.did_change()


pip.venv(name="Make the virtual environment", path=layout.venv, python="/usr/bin/python3")

pip.packages(
    name="Install what the release requires",
    requirements=f"{release}/requirements.txt",
    virtualenv=layout.venv,
    _if=checkout.did_change,
)

manage = f"cd {release} && set -a && . {layout.environment} && {layout.venv}/bin/python -B manage.py"
server.shell(
    name="Apply the migrations and collect the static files",
    commands=[f"{manage} {command} --noinput" for command in ("migrate", "collectstatic")],
    _su_user=layout.name,
    _su_shell="/bin/sh",
    _if=is_new,
)

live = files.link(name="Make the release the current one", path=layout.current, target=release)

vassal = files.template(
    name="Configure the vassal",
    src="templates/vassal.ini.j2",
    dest=layout.vassal,
    mode="644",
    layout=layout,
)

# A changed file of the vassal is seen by the Emperor; so has to be what the vassal leads to.
files.file(
    name="Have the Emperor reload the app",
    path=layout.vassal,
    touch=True,
    _if=lambda: not vassal.did_change() and (live.did_change() or environment.did_change() or checkout.did_change()),
)

site = files.template(
    name="Configure the site",
    src="templates/site.conf.j2",
    dest=f"/etc/nginx/sites-enabled/{layout.name}.conf",
    mode="644",
    layout=layout,
)

server.shell(name="Have Nginx check its configuration", commands=["nginx -t"], _if=site.did_change)

systemd.service(name="Reload Nginx", service="nginx", reloaded=True, _if=site.did_change)
