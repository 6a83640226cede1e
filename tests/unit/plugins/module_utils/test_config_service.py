# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.emperor.web.plugins.module_utils import _config_service, _journal
from ansible_collections.emperor.web.plugins.module_utils._config_error import ConfigError
from ansible_collections.emperor.web.plugins.module_utils._config_service import Service, StartError
from ansible_collections.emperor.web.plugins.module_utils._process import Result


class Systemd:
    """One unit, and what was asked of systemd."""

    def __init__(self) -> None:
        self.state = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
        self.link_is_lost = False
        self.fails: dict[str, str] = {}
        self.log = ""
        self.done: list[str] = []

    def __call__(self, argv: list[str], **_options) -> Result:
        if argv[0] == "journalctl":
            return Result(argv, 0, self.log if "--unit=nginx" in argv else "", "")
        verb = argv[1]
        if verb in self.fails:
            return Result(argv, 1, "", self.fails[verb])
        if verb == "show":
            assert argv[2:] == ["--property=LoadState,ActiveState,UnitFileState", "--", "nginx"]
            return Result(argv, 0, "".join(f"{name}={value}\n" for name, value in self.state.items()), "")
        assert argv[2:] == ["--", "nginx"]
        if verb == "is-enabled":
            return Result(argv, int(self.link_is_lost), "", "")
        if verb != "reset-failed":
            self.done.append(verb)
        return Result(argv, 0, "", "")


@pytest.fixture
def systemd(monkeypatch) -> Systemd:
    found = Systemd()
    for module in (_config_service, _journal):
        monkeypatch.setattr(module, "run", found)
    return found


@pytest.mark.parametrize(
    ("active", "file", "lacks", "done"),
    [
        ("active", "enabled", [], []),
        ("reloading", "enabled", [], []),
        ("inactive", "enabled", ["started"], ["start"]),
        ("failed", "enabled", ["started"], ["start"]),
        ("activating", "enabled", ["started"], ["start"]),
        ("deactivating", "enabled", ["started"], ["start"]),
        ("active", "disabled", ["enabled"], ["enable"]),
        ("active", "enabled-runtime", ["enabled"], ["enable"]),
        ("active", "linked", ["enabled"], ["enable"]),
        ("inactive", "disabled", ["enabled", "started"], ["start", "enable"]),
        # What systemctl enable would do nothing about, so that each run would do it again.
        ("active", "static", [], []),
        ("active", "generated", [], []),
        ("inactive", "", ["started"], ["start"]),
    ],
)
def test_what_lacks_is_done(systemd, active, file, lacks, done):
    systemd.state |= {"ActiveState": active, "UnitFileState": file}
    service = Service("nginx")
    assert service.lacks == lacks
    service.complete()
    assert systemd.done == done


def test_a_link_that_is_lost_since_systemd_has_read_it_is_made_again(systemd):
    systemd.link_is_lost = True
    service = Service("nginx")
    assert service.lacks == ["enabled"]
    service.complete()
    assert systemd.done == ["enable"]


def test_what_the_files_have_started_is_not_started_again(systemd):
    systemd.state |= {"ActiveState": "inactive", "UnitFileState": "disabled"}
    service = Service("nginx")
    service.start()
    service.complete()
    assert (service.lacks, systemd.done) == (["enabled", "started"], ["start", "enable"])


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"LoadState": "masked", "UnitFileState": "masked"}, "is masked, .*with: systemctl unmask nginx$"),
        ({"UnitFileState": "masked-runtime"}, "is masked"),
        ({"LoadState": "not-found", "UnitFileState": ""}, "systemd knows no service nginx; .* Mend the name"),
        ({"LoadState": "bad-setting"}, r"cannot load the unit of the service nginx \(bad-setting\); .* status nginx$"),
    ],
)
def test_a_unit_that_cannot_run_is_refused(systemd, state, said):
    systemd.state |= state
    with pytest.raises(ConfigError, match=said) as error:
        Service("nginx")
    assert "nothing was changed" in str(error.value)


def test_a_host_without_systemd_is_told(systemd):
    systemd.fails["show"] = "System has not been booted with systemd as init system (PID 1). Can't operate."
    with pytest.raises(ConfigError, match="Leave service out on a host that systemd does not run. System has not"):
        Service("nginx")


def test_a_failed_start_tells_each_line_of_the_log_once_and_the_last_ones(systemd):
    systemd.state["ActiveState"] = "failed"
    systemd.fails["start"] = "Job for nginx.service failed"
    systemd.log = "".join(f"line {number}\n" for number in range(30)) + "bind() failed\n" * 5 + "Failed to start\n"
    service = Service("nginx")
    with pytest.raises(StartError, match="^nginx did not start. Its last lines:\nline 20\n") as error:
        service.start()
    assert "\nline 29\nbind() failed\nFailed to start\nMend what these lines name" in str(error.value)
    assert "journalctl -u nginx" in str(error.value)
    assert error.value.outcome.stderr == "Job for nginx.service failed"
    assert not service.running


def test_a_failed_start_without_a_log_tells_what_systemctl_says(systemd):
    systemd.state["ActiveState"] = "inactive"
    systemd.fails["start"] = "Dependency failed"
    with pytest.raises(StartError, match="nginx did not start. Dependency failed\nMend"):
        Service("nginx").start()


def test_a_service_that_cannot_be_enabled_runs_nevertheless(systemd):
    systemd.state |= {"ActiveState": "inactive", "UnitFileState": "disabled"}
    systemd.fails["enable"] = "Read-only file system"
    with pytest.raises(ConfigError, match="the files are in place and nginx runs, .* at boot: Read-only file system"):
        Service("nginx").complete()
    assert systemd.done == ["start"]
