# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Input that uwsgi_emperor refuses before it touches the host."""

from __future__ import annotations

import pytest
from ansible_collections.emperor.web.plugins.module_utils._emperor import Emperor
from ansible_collections.emperor.web.plugins.module_utils._module_uwsgi_emperor import problem_of


@pytest.mark.parametrize(
    ("emperors", "problem"),
    [
        ([Emperor("no-such-app", "/srv/django/no-such-app", ["/mnt/x"])], ""),
        ([Emperor("Shop")], "'Shop' cannot be the name of a user"),
        ([Emperor("x" * 32)], "at most 31"),
        ([Emperor("root")], "app root: user root exists, and somebody can log in as it"),
        ([Emperor("no-such-app", "srv/shop")], "'srv/shop' has to be absolute"),
        ([Emperor("no-such-app", None, ["/mnt/a b"])], "'/mnt/a b' has to be absolute, without spaces"),
        ([Emperor("no-such-app", '/srv/"; reboot')], "has to be absolute"),
        ([Emperor("no-such-app"), Emperor("no-such-app")], "no-such-app is given twice"),
        ([Emperor("no-such-app", "/srv/no-such-app", sleep=5)], ""),
        (
            [Emperor("no-such-app", sleep=5)],
            "app no-such-app: sleep is 5; give seconds, 0 for always awake, and a root",
        ),
        ([Emperor("no-such-app", "/srv/x", sleep=-1)], "app no-such-app: sleep is -1"),
        ([Emperor("no-such-app", state="absent", purge=True)], ""),
        ([Emperor("no-such-app", "/srv/no-such-app", state="absent", purge=True)], ""),
        ([Emperor("no-such-app", "/srv/x", purge=True)], "purge removes all its data and is for state=absent only"),
        (
            [Emperor("no-such-app", "/srv/x", state="absent", purge=True)],
            "purge would remove /srv/x with all that is in",
        ),
        ([Emperor("no-such-app", "/no-such-app", state="absent", purge=True)], "purge would remove /no-such-app"),
    ],
)
def test_problem_of(emperors, problem):
    found = problem_of(emperors)
    assert (problem in found) if problem else found == ""
