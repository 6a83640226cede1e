"""A release that is still on the host, live again: pyinfra inventory.py rollback.py --data version=v1"""

import layout
from pyinfra import host
from pyinfra.api import DeployError
from pyinfra.facts.files import Directory
from pyinfra.operations import files

release = f"{layout.releases}/{host.data.version}"
if not host.get_fact(Directory, path=release):
    raise DeployError(f"{release} is not on the host; deploy that version with app.py")

live = files.link(name="Make the release the current one", path=layout.current, target=release)
files.file(name="Have the Emperor reload the app", path=layout.vassal, touch=True, _if=live.did_change)
