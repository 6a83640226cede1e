"""The host: locale, Nginx, and an Emperor of uWSGI. Run it before app.py: pyinfra inventory.py host.py app.py"""

import layout
from pyinfra import host
from pyinfra.facts.files import FindInFile
from pyinfra.operations import apt, files, server, systemd

apt.packages(
    name="Install the packages",
    packages=["locales", "nginx", "uwsgi-core", "uwsgi-plugin-python3", "git", "python3-venv"],
    update=True,
    cache_time=3600,
    no_recommends=True,
)

server.locale(name="Generate the locale", locale=host.data.locale)


def is_other_default() -> bool:
    """Whether logins get another locale."""
    line = f"^LANG={host.data.locale}$"
    return not host.get_fact(FindInFile, path="/etc/default/locale", pattern=line)


server.shell(
    name="Make it the default of every login",
    commands=[f"update-locale LANG={host.data.locale}"],
    _if=is_other_default,
)

files.directory(name="Make the folder of the vassals", path=layout.vassals, user="root", group="root", mode="755")

unit = files.template(
    name="Install the unit of the Emperor",
    src="templates/uwsgi-emperor.service.j2",
    dest="/etc/systemd/system/uwsgi-emperor.service",
    mode="644",
    layout=layout,
)

systemd.service(
    name="Load the unit and restart the Emperor",
    service="uwsgi-emperor",
    daemon_reload=True,
    restarted=True,
    _if=unit.did_change,
)

systemd.service(name="Run the Emperor now and at boot", service="uwsgi-emperor", running=True, enabled=True)

default = files.link(name="Remove the default site", path="/etc/nginx/sites-enabled/default", present=False)

settings = files.template(
    name="Configure Nginx",
    src="templates/nginx.conf.j2",
    dest="/etc/nginx/nginx.conf",
    mode="644",
)


def to_reload() -> bool:
    """Whether Nginx has something new to read."""
    return default.did_change() or settings.did_change()


server.shell(name="Have Nginx check its configuration", commands=["nginx -t"], _if=to_reload)

systemd.service(name="Reload Nginx", service="nginx", reloaded=True, _if=to_reload)

systemd.service(name="Run Nginx now and at boot", service="nginx", running=True, enabled=True)
