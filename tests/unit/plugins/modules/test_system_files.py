# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that are written when anything about them differs, and only then."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _module_system_files as system_files
from ansible_collections.emperor.web.plugins.module_utils._module_system_files import is_right, problem_of, write


def file(path, content="text\n", mode="0644"):
    return {"path": str(path), "content": content, "mode": mode, "state": "present"}


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ([file("/etc/a"), file("/etc/b", mode="755")], ""),
        ([file("etc/a")], "path 'etc/a' has to be absolute"),
        ([file("/etc/a", mode="rw")], "mode 'rw' of /etc/a is no octal number"),
        ([file("/etc/a", mode="0999")], "no octal number"),
        ([file("/etc/a", mode="4755")], "no octal number"),
        ([file("/etc/a"), file("/etc/b"), file("/etc/x/../a")], "/etc/a is given twice"),
    ],
)
def test_problem_of(files, problem):
    found = problem_of(files)
    assert (problem in found) if problem else found == ""


def test_file_is_written_with_its_folder_and_is_right_then(tmp_path):
    wanted = file(tmp_path / "new/folder/program", "é\n", "0755")
    assert not is_right(wanted, os.geteuid())
    write(wanted, os.geteuid())
    assert is_right(wanted, os.geteuid())
    assert (tmp_path / "new/folder/program").read_text(encoding="utf-8") == "é\n"
    assert stat.S_IMODE(os.stat(tmp_path / "new/folder").st_mode) == 0o755
    assert os.listdir(tmp_path / "new/folder") == ["program"]


@pytest.mark.parametrize("drift", ["content", "mode", "link", "owner"])
def test_drift_is_found_and_mended(tmp_path, drift):
    path = tmp_path / "unit"
    wanted = file(path)
    write(wanted, os.geteuid())
    if drift == "content":
        path.write_text("other\n")
    elif drift == "mode":
        path.chmod(0o666)
    elif drift == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif os.geteuid():
        pytest.skip("only root can give a file away")
    else:
        os.chown(path, 65534, 65534)
    assert not is_right(wanted, os.geteuid())
    write(wanted, os.geteuid())
    assert is_right(wanted, os.geteuid()) and not path.is_symlink()


@pytest.mark.parametrize("leads_nowhere", [False, True])
def test_a_file_is_taken_away(run_module, tmp_path, leads_nowhere):
    path, reloaded = tmp_path / "closed", tmp_path / "reloaded"
    if leads_nowhere:
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text("closed\n")
    arguments = {"files": [{"path": str(path), "state": "absent"}], "reload": f"touch {reloaded}"}
    foreseen = run_module(system_files, arguments, check=True)
    assert foreseen["files"] == [str(path)] and os.path.lexists(path) and not reloaded.exists()
    assert foreseen["diff"][0]["after_header"].endswith("(absent)") and foreseen["diff"][0]["after"] == ""
    assert run_module(system_files, arguments)["files"] == [str(path)]
    assert not os.path.lexists(path) and reloaded.exists()
    assert run_module(system_files, arguments)["changed"] is False


def test_content_is_wanted_of_a_file_that_is_to_be_there(run_module, tmp_path):
    assert "content" in run_module(system_files, {"files": [{"path": str(tmp_path / "a")}]})["msg"]
