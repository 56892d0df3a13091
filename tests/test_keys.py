"""API keys: shown once, kept as hashes, and gone as soon as they are removed."""

from __future__ import annotations

import json
import stat
import threading

import pytest

from bellwether.config import Settings
from bellwether.config.keys import PREFIX, KeyFile, digest
from bellwether.errors import ConfigError, UnknownName
from pipelines.cli import main


@pytest.fixture
def keys(tmp_path) -> KeyFile:
    return KeyFile(str(tmp_path / "deep" / "keys.json"))


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code or 0


def test_a_key_is_found_by_its_secret_and_by_nothing_else(keys):
    desk, feed = keys.add("desk", ["read"]), keys.add("feed", ["write", "read"])
    ring = keys.read()
    assert ring.find(desk).name == "desk"
    assert ring.find(feed).scopes == ("read", "write")
    for wrong in ("", desk[:-1], desk + "a", desk.upper(), digest(desk), "desk"):
        assert ring.find(wrong) is None


def test_a_secret_has_256_random_bits_and_is_never_the_same(keys):
    made = {keys.add(f"k{n}", ["read"]) for n in range(5)}
    assert len(made) == 5
    assert {len(secret.removeprefix(PREFIX)) for secret in made} == {43}  # 32 bytes in base64


def test_neither_file_nor_repr_holds_a_secret(keys):
    secret = keys.add("desk", ["admin"])
    assert secret not in keys.path.read_text()
    assert digest(secret) in keys.path.read_text()
    shown = repr(keys.read()) + str(keys.read())
    assert secret not in shown
    assert digest(secret) not in shown


def test_only_the_owner_may_read_the_file_also_after_a_change(keys):
    keys.add("desk", ["read"])
    keys.path.chmod(0o644)
    keys.add("feed", ["read"])
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    keys.remove("desk")
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert [key.name for key in keys.read().keys] == ["feed"]
    assert sorted(path.name for path in keys.path.parent.iterdir()) == [".keys.json.lock", "keys.json"]


def test_a_name_is_given_once(keys):
    keys.add("desk", ["read"])
    with pytest.raises(ConfigError, match="there is a key 'desk'"):
        keys.add("desk", ["read"])
    with pytest.raises(UnknownName, match="no key 'feed'; known: desk"):
        keys.remove("feed")


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "../x", "é", "-a", "x" * 65])
def test_a_name_can_stand_in_a_line_of_a_log(keys, name):
    with pytest.raises(ConfigError, match="a key's name has up to 64 letters"):
        keys.add(name, ["read"])


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "Write"]])
def test_an_unknown_scope_is_refused(keys, scopes):
    with pytest.raises(UnknownName, match="known: admin, read, write"):
        keys.add("desk", scopes)


def test_what_is_no_key_file_is_named_and_not_repeated(keys):
    keys.path.parent.mkdir()
    keys.path.write_text('{"keys": [{"name": "desk", "sha256": "bw_secret"}]}')
    with pytest.raises(ConfigError, match=r"keys\.json is no key file") as refused:
        keys.read()
    assert "bw_secret" not in str(refused.value)
    with pytest.raises(ConfigError, match="must be a file"):
        KeyFile("s3://desk/keys.json")


def test_keys_made_at_the_same_time_are_all_kept(keys):
    names = [f"k{n}" for n in range(12)]
    threads = [threading.Thread(target=keys.add, args=(name, ["read"])) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key.name for key in keys.read().keys) == sorted(names)


def test_the_command_line_adds_lists_and_removes(home, capsys):
    assert command("keys", "list") == 0
    assert "no keys in" in capsys.readouterr().out
    assert command("keys", "add", "desk", "--scopes", "read, write") == 0
    secret = capsys.readouterr().out.splitlines()[-1]
    assert KeyFile(Settings().keys).read().find(secret).scopes == ("read", "write")
    assert Settings().keys == str(home / "keys.json")
    assert command("keys", "list") == 0
    listed = capsys.readouterr().out
    assert "desk" in listed
    assert "read,write" in listed
    assert secret not in listed
    assert command("keys", "remove", "desk") == 0
    assert json.loads((home / "keys.json").read_text()) == {"keys": []}
    assert command("keys", "remove", "desk") == 2
    assert command("keys", "add", "desk", "--scopes", "all") == 2


def test_the_key_a_command_sends_is_not_in_the_repr_of_the_settings(home, monkeypatch):
    monkeypatch.setenv("BELLWETHER_API_KEY", "bw_hidden")
    settings = Settings()
    assert settings.api_key.get_secret_value() == "bw_hidden"
    assert "bw_hidden" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
