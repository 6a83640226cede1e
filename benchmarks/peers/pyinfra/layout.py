"""Where the parts of the app are on its host."""

from pyinfra import host

name = host.data.name
root = f"/srv/{name}"
releases = f"{root}/releases"
current = f"{root}/current"
venv = f"{root}/venv"
static = f"{root}/static"
shared = f"{root}/shared"
environment = f"{shared}/env"
socket = f"/run/uwsgi/{name}.sock"
vassals = "/etc/uwsgi/vassals"
vassal = f"{vassals}/{name}.ini"
