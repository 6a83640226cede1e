"""The trap of a locale that does not exist cannot be sprung, through whichever door one comes in."""

from __future__ import annotations

import time

import pytest

COMMANDS = {
    "perl": "perl -e 1",
    "python": "/usr/bin/python3 -c 'import locale; locale.setlocale(locale.LC_ALL, str())'",
    "pip": "/usr/bin/python3 -m pip list",
    "locale": "locale",
}
# What a client with other locales than the host sends; macOS sends the last one.
FORWARDED = {
    "missing LC_ALL": "LC_ALL=xx_XX.UTF-8",
    "missing LANG": "LANG=ko_KR.UTF-8",
    "both": "LANG=fr_FR.UTF-8 LC_ALL=fr_FR.UTF-8",
    "C": "LC_ALL=C",
    "macOS": "LC_CTYPE=UTF-8",
    "single categories": "LC_TIME=sv_SE.UTF-8 LC_NUMERIC=nb_NO.UTF-8",
}
SSH = (
    "ssh -F none -i /home/visitor/.ssh/id_ed25519 -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR "
    "-o UserKnownHostsFile=/dev/null -o SendEnv=LANG -o 'SendEnv=LC_*' visitor@127.0.0.1"
)


def quiet(done) -> None:
    assert done.rc == 0, done.stderr
    assert done.stderr == ""


@pytest.fixture(scope="module", autouse=True)
def _sshd(host):
    host.check_output("systemctl start ssh")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("sent", FORWARDED.values(), ids=FORWARDED)
def test_over_ssh(host, sent, command):
    quiet(host.run(f"{sent} {SSH} {_quote(command)}"))


@pytest.mark.parametrize("sent", FORWARDED.values(), ids=FORWARDED)
def test_login_shell_over_ssh(host, sent):
    quiet(host.run(f"{sent} {SSH} {_quote('bash --login -c ' + _quote(COMMANDS['python'] + '; perl -e 1'))}"))


def test_ssh_session_has_the_locale_of_the_host(host):
    shown = host.check_output(f"LC_ALL=xx_XX.UTF-8 LANG=fr_FR.UTF-8 {SSH} {_quote('locale; locale charmap')}")
    assert "LANG=C.UTF-8" in shown.splitlines()
    assert "LC_ALL=" in shown.splitlines()
    assert shown.splitlines()[-1] == "UTF-8"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_login_shell(host, command):
    quiet(host.run(f"su --login visitor --command {_quote(command)}"))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_with_lc_all_c(host, command):
    quiet(host.run(f"LC_ALL=C {command}"))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_systemd_unit(host, command):
    done = host.run(f"systemd-run --quiet --wait --pipe /bin/sh -c {_quote(command)}")
    quiet(done)


def test_systemd_gives_services_the_locale(host):
    assert "LANG=C.UTF-8" in host.check_output("systemctl show-environment").splitlines()


def test_cron(host):
    log = host.file("/tmp/cron.log")
    for _attempt in range(80):
        if log.exists and "rc=" in log.content_string:
            break
        time.sleep(1)
    text = log.content_string
    assert "rc=0" in text.splitlines()
    assert "LANG=C.UTF-8" in text.splitlines()
    assert "warning" not in text.lower() and "cannot" not in text.lower(), text


def test_wanted_locale_is_generated(host):
    assert "de_DE.utf8" in host.check_output("locale -a").splitlines()
    quiet(host.run(f"LC_ALL=de_DE.UTF-8 {COMMANDS['python']}"))


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
