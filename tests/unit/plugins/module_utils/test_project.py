# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.emperor.web.plugins.module_utils._project import Project, find
from ansible_collections.emperor.web.plugins.module_utils._source import SourceError


def sets(settings: str) -> str:
    return f'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")\n'


def wsgi(settings: str = "") -> str:
    end = "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"
    return (sets(settings) if settings else "") + end


MANAGE = sets("shop.settings")
WSGI = wsgi("shop.settings")
USUAL = {"manage.py": MANAGE, "shop/wsgi.py": WSGI}
SHOP = ("shop.settings", "shop.wsgi:application")


@pytest.fixture
def sources(tmp_path):
    """Write a small tree and return its folder."""

    def write(files: dict[str, str]) -> str:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return str(tmp_path)

    return write


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(USUAL, (".", *SHOP), id="at the top"),
        pytest.param(
            {"src/manage.py": MANAGE, "src/shop/wsgi.py": WSGI, "README": ""}, ("src", *SHOP), id="one level down"
        ),
        pytest.param({"a/b/c/manage.py": MANAGE, "a/b/c/shop/wsgi.py": WSGI}, ("a/b/c", *SHOP), id="three levels down"),
        pytest.param(
            USUAL | {"demo/manage.py": sets("demo.settings"), "demo/demo/settings.py": ""},
            (".", *SHOP),
            id="the manage.py nearest to the top",
        ),
        pytest.param(
            USUAL | {"shop/wsgi.py": wsgi("shop.settings.production")},
            (".", "shop.settings.production", "shop.wsgi:application"),
            id="wsgi.py's settings before manage.py's",
        ),
        pytest.param(USUAL | {"shop/wsgi.py": wsgi()}, (".", *SHOP), id="manage.py's settings where wsgi.py has none"),
        pytest.param(
            {
                "manage.py": "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'\n",
                "shop/wsgi.py": wsgi(),
            },
            (".", *SHOP),
            id="an assignment",
        ),
        pytest.param(
            {
                "manage.py": "os.environ.setdefault(\n    'DJANGO_SETTINGS_MODULE',\n    'shop.settings',\n)\n",
                "shop/wsgi.py": wsgi(),
            },
            (".", *SHOP),
            id="several lines",
        ),
        pytest.param(
            USUAL | {"shop/wsgi.py": '# os.environ["DJANGO_SETTINGS_MODULE"] = "old.settings"\n' + WSGI},
            (".", *SHOP),
            id="a comment is no setting",
        ),
        pytest.param(
            {"manage.py": MANAGE, "wsgi.py": WSGI},
            (".", "shop.settings", "wsgi:application"),
            id="wsgi.py beside manage.py",
        ),
        pytest.param(
            USUAL | {"other/wsgi.py": wsgi("other.settings")}, (".", *SHOP), id="of several wsgi.py the settings' own"
        ),
        pytest.param(
            USUAL | {"other/wsgi.py": "application = None\n"}, (".", *SHOP), id="a wsgi.py that is none of Django's"
        ),
        pytest.param(
            USUAL
            | {
                f"{skipped}/deep/{name}": sets("wrong.settings") + wsgi("wrong.settings")
                for skipped in ("tests", "node_modules", ".venv", "venv", "env", "docs")
                for name in ("manage.py", "wsgi.py")
            },
            (".", *SHOP),
            id="folders of others are not looked into",
        ),
    ],
)
def test_a_project_is_found(sources, files, expected):
    assert find(sources(files)) == Project(*expected)


def test_hidden_and_foreign_folders_hold_no_project(sources):
    files = {f"{name}/manage.py": MANAGE for name in (".hidden", "node_modules/x", "tests", "venv/lib", "a/b/c/d")}
    with pytest.raises(SourceError, match="the sources have no manage.py, so this is no Django project; check source"):
        find(sources(files))


def test_several_projects_are_listed(sources):
    files = {"b/manage.py": MANAGE, "a/manage.py": MANAGE, "c/d/manage.py": MANAGE}
    with pytest.raises(SourceError, match="several manage.py, in a, b; give project, one of them"):
        find(sources(files))


@pytest.mark.parametrize("given", ["b", "b/", "./b", "a/../b"])
def test_a_given_folder_is_taken(sources, given):
    files = {"a/manage.py": MANAGE, "b/manage.py": MANAGE, "b/shop/wsgi.py": WSGI}
    assert find(sources(files), given) == Project("b", *SHOP)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("nowhere", "project nowhere has no manage.py; give the folder of the sources that has one"),
        ("shop", "project shop has no manage.py"),
        ("..", "project .. has to be a folder inside the sources, written relative to their top"),
        ("shop/../../x", "has to be a folder inside the sources"),
        ("/srv/shop", "has to be a folder inside the sources"),
    ],
)
def test_a_given_folder_has_to_be_one(sources, given, problem):
    with pytest.raises(SourceError) as error:
        find(sources(USUAL), given)
    assert problem in str(error.value)


def test_given_settings_win_and_choose_the_wsgi_module(sources):
    files = {"manage.py": "", "shop/wsgi.py": wsgi("shop.settings"), "admin/wsgi.py": wsgi("admin.settings")}
    assert find(sources(files), settings="admin.prod") == Project(".", "admin.prod", "admin.wsgi:application")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("shop.web", "shop.web:application"), ("shop.web:app", "shop.web:app")],
)
def test_a_given_wsgi_callable_is_taken(sources, given, expected):
    assert find(sources(USUAL), wsgi=given) == Project(".", "shop.settings", expected)


def test_no_settings_says_what_to_give(sources):
    files = {"src/manage.py": "", "src/shop/wsgi.py": wsgi()}
    with pytest.raises(
        SourceError, match=r"neither manage.py nor wsgi.py below src .*; give settings, for example settin"
    ):
        find(sources(files))


def test_several_wsgi_modules_without_a_hint_are_listed(sources):
    files = {"manage.py": sets("config.settings"), "shop/wsgi.py": wsgi(), "blog/wsgi.py": wsgi()}
    with pytest.raises(
        SourceError, match=r"several of them: blog/wsgi.py, shop/wsgi.py\); give wsgi, for example wsgi: s"
    ):
        find(sources(files))


def test_no_wsgi_module_says_what_to_give(sources):
    with pytest.raises(
        SourceError, match=r"no WSGI module found below \. \(no wsgi.py with get_wsgi_application\); give w"
    ):
        find(sources({"manage.py": MANAGE, "shop/asgi.py": "get_asgi_application"}))
