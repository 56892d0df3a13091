"""A store has one identity, which a ledger may keep: it says where the store is, and no secret."""

from __future__ import annotations

import pytest

from bellwether.registry.backend import Backend


@pytest.mark.parametrize(
    ("uri", "identity"),
    [
        ("http://ada:s3cret@host:5000/", "http://host:5000"),
        ("https://s3cret@host/a@b?token=s3cret#s3cret", "https://host/a@b"),
        ("postgresql+psycopg2://ada:s3/c?r#et@host/db?password=s3cret", "postgresql+psycopg2://host/db"),
        ("mssql+pyodbc:///?odbc_connect=UID=ada;PWD=s3cret@1", "mssql+pyodbc://"),
        ("sqlite:////data/mlflow.db?key=s3cret", "sqlite:////data/mlflow.db"),
        ("databricks://profile", "databricks://profile"),
        ("databricks", "databricks"),
    ],
)
def test_a_store_is_known_by_its_place_and_no_secret(uri, identity):
    assert Backend(uri).identity == identity


@pytest.mark.parametrize("uri", ["sqlite:///{}mlflow.db", "{}mlruns"])
def test_a_store_has_one_identity_however_its_path_is_written(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Backend(uri.format("")).identity == Backend(uri.format(f"{tmp_path}/")).identity
    monkeypatch.chdir("/")
    assert Backend(uri.format("")).identity != Backend(uri.format(f"{tmp_path}/")).identity
