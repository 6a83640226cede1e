# Copyright: (c) 2026, the emperor.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.emperor.web.plugins.module_utils._environment import (
    EnvironmentFileError,
    normalise,
    read_file,
    secret_values,
    take_environment,
    url_passwords,
    without_credentials,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(None, {}, id="nothing"),
        pytest.param({"A": True, "B": False}, {"A": "true", "B": "false"}, id="booleans"),
        pytest.param({"A": None, "B": ""}, {"B": ""}, id="None is left out, empty stays"),
        pytest.param({"A": 0, "B": 1.5}, {"A": "0", "B": "1.5"}, id="numbers"),
        pytest.param({"_a1": "é 한글 %d $(x) 'q\"\n#"}, {"_a1": "é 한글 %d $(x) 'q\"\n#"}, id="text is kept as it is"),
    ],
)
def test_normalise(given, expected):
    assert normalise(given) == expected


@pytest.mark.parametrize("name", ["1A", "A-B", "A B", "", "A=B", "É", "A\n"])
def test_normalise_refuses_names_that_a_shell_could_not_use(name):
    with pytest.raises(ValueError, match="no valid variable name; use letters, digits and _"):
        normalise({name: "x"})


@pytest.mark.parametrize(("value", "kind"), [(["hunter2"], "list"), ({"x": "hunter2"}, "dict")])
def test_normalise_refuses_structures_without_showing_them(value, kind):
    with pytest.raises(ValueError, match=f"A must be a string or a number, not a {kind}") as error:
        normalise({"A": value})
    assert "hunter2" not in str(error.value)


def test_normalise_refuses_nul():
    with pytest.raises(ValueError, match="A holds a NUL byte") as error:
        normalise({"A": "hunter2\0"})
    assert "hunter2" not in str(error.value)


def read(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "env"
    path.write_bytes(text.encode(encoding))
    return read_file(str(path))


def test_json_file_keeps_every_character(tmp_path):
    environment = {"A": "%d $(x) 'q' \"Q\" # \n\r\t é 한글 \u2028", "B": ""}
    assert read(tmp_path, "\n" + json.dumps(environment)) == environment


def test_json_file_is_normalised(tmp_path):
    assert read(tmp_path, '{"A": true, "B": null, "C": 3}') == {"A": "true", "C": "3"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        pytest.param("A=1", "1", id="plain"),
        pytest.param("  A = a b \t", "a b", id="spaces around"),
        pytest.param("export A=1", "1", id="export"),
        pytest.param('A="a b "', "a b ", id="double quotes"),
        pytest.param("A='a \"b\" '", 'a "b" ', id="single quotes"),
        pytest.param("A=it's", "it's", id="a quote inside"),
        pytest.param('A="', '"', id="a lone quote"),
        pytest.param("A=\"x'", "\"x'", id="quotes that do not match"),
        pytest.param("A=", "", id="empty"),
        pytest.param("A=b=c", "b=c", id="equals sign in the value"),
        pytest.param("A=x # y", "x # y", id="only whole lines are comments"),
        pytest.param("A=$HOME %i $(id) \\n", "$HOME %i $(id) \\n", id="no expansion"),
        pytest.param("A=é\u2028한글", "é\u2028한글", id="only a newline ends a line"),
    ],
)
def test_lines(tmp_path, line, value):
    assert read(tmp_path, f"# comment\n\n; comment\n{line}\nLAST=1\n") == {"A": value, "LAST": "1"}


@pytest.mark.parametrize("line", ["just text hunter2", "1A=hunter2", "=hunter2", "A B=hunter2", "export A-B=hunter2"])
def test_a_bad_line_is_named_but_not_shown(tmp_path, line):
    with pytest.raises(EnvironmentFileError, match=r"/env, line 3: expected NAME=value") as error:
        read(tmp_path, f"A=1\n\n{line}\n")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param('{"A": "hunter2"', "is no JSON object", id="broken JSON"),
        pytest.param('{"A": ["hunter2"]}', "A must be a string or a number", id="a list in JSON"),
        pytest.param('{"A-B": "hunter2"}', "'A-B' is no valid variable name", id="bad name in JSON"),
        pytest.param("A=hunter2\0", "NUL", id="NUL in lines"),
    ],
)
def test_a_bad_file_is_named_but_not_shown(tmp_path, text, problem):
    with pytest.raises(EnvironmentFileError, match=f"/env .*{problem}") as error:
        read(tmp_path, text)
    assert "hunter2" not in str(error.value)


def test_missing_and_undecodable_files_are_named(tmp_path):
    with pytest.raises(EnvironmentFileError, match=r"/env cannot be read: .*No such file"):
        read_file(str(tmp_path / "env"))
    with pytest.raises(EnvironmentFileError, match=r"/env cannot be read: .*utf-8"):
        read(tmp_path, "A=é", encoding="latin-1")


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        pytest.param("SECRET_KEY", "s3cret", {"s3cret"}, id="secret"),
        pytest.param("db_password", "s3cret", {"s3cret"}, id="lower case"),
        pytest.param(
            "SENTRY_DSN", "https://a1b2c3@sentry.example.com/1", {"https://a1b2c3@sentry.example.com/1"}, id="DSN"
        ),
        pytest.param("AWS_ACCESS_KEY_ID", "AKIA1234", {"AKIA1234"}, id="key"),
        pytest.param("DATABASE_URL", "postgres://shop:pa%24s@db/shop", {"pa%24s", "pa$s"}, id="password in a URL"),
        pytest.param("DATABASE_URL", "postgres://shop@db/shop", set(), id="URL without password"),
        pytest.param("BROKEN_URL", "http://[oops", set(), id="broken URL"),
        pytest.param("DEBUG", "false", set(), id="no secret"),
        pytest.param("PASSWORD", "abc", set(), id="too short to hide without hiding half of the output"),
    ],
)
def test_secret_values(name, value, secrets):
    assert secret_values({name: value}) == secrets


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("https://git.example.com/shop.git", set()),
        ("https://user@git.example.com/shop.git", set()),
        ("https://user:token@git.example.com/shop.git", {"token"}),
        ("redis://:p%40ss@cache:6379/0", {"p%40ss", "p@ss"}),
    ],
)
def test_url_passwords(url, passwords):
    assert url_passwords(url) == passwords


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://git.example.com/shop.git", "https://git.example.com/shop.git"),
        ("https://user:token@git.example.com/shop.git", "https://git.example.com/shop.git"),
        ("https://token@git.example.com/shop.git", "https://git.example.com/shop.git"),
        ("https://user:p@ss@git.example.com/shop.git", "https://git.example.com/shop.git"),
        ("https://git.example.com/a@b.git", "https://git.example.com/a@b.git"),
        ("git@github.com:acme/shop.git", "git@github.com:acme/shop.git"),
    ],
)
def test_without_credentials(url, shown):
    assert without_credentials(url) == shown


def printing(text: str):
    """A module that prints a text, and how many variables it was given."""

    def main() -> None:
        module = AnsibleModule(argument_spec={"environment": {"type": "dict", "no_log": True}})
        environment = take_environment(module)
        module.exit_json(text=text, seen=len(environment))

    return main


def test_harmless_values_do_not_mask_the_result(run_module):
    environment = {"DEBUG": "0", "WORKERS": 1, "REGION": "eu", "FLAG": True}
    result = run_module(printing("10 of 100 in eu-west, true"), {"environment": environment})
    assert result["text"] == "10 of 100 in eu-west, true"
    assert result["seen"] == 4


def test_secrets_do_not_get_out(run_module):
    environment = {
        "SECRET_KEY": "top-s3cret",
        "API_TOKEN": 12345678,
        "DATABASE_URL": "postgres://shop:pa%24sword@db/shop",
    }
    said = "key top-s3cret, token 12345678, postgres://shop:pa%24sword@db, pa$sword"
    printed = json.dumps(run_module(printing(said), {"environment": environment}))
    for secret in ("top-s3cret", "12345678", "pa%24sword", "pa$sword"):
        assert secret not in printed
    assert "postgres://shop:****" in printed


def test_the_invocation_shows_names_and_no_values(run_module):
    result = run_module(printing(""), {"environment": {"REGION": "eu-west-1", "DEBUG": "0"}})
    shown = result["invocation"]["module_args"]["environment"]
    assert shown == dict.fromkeys(["REGION", "DEBUG"], "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")


def test_no_environment_is_an_empty_one(run_module):
    assert run_module(printing("x"), {})["seen"] == 0


def test_a_bad_variable_fails_the_module(run_module):
    result = run_module(printing("x"), {"environment": {"A-B": "hunter2"}})
    assert "'A-B' is no valid variable name" in result["msg"]
    assert "hunter2" not in json.dumps(result)
