"""Getting a data directory ready: what is wrong is said before anything takes long."""

from pathlib import Path

import pytest

from policy.errors import CatalogError, InvalidRolloutError
from server import preparation
from server.settings import ServeSettings
from tests.shop import CATALOG


@pytest.fixture
def warmed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Holds an entry for each time that code was compiled."""
    found: list[str] = []
    monkeypatch.setattr(preparation, "warm_up", lambda: found.append("warm"))
    return found


def settings(tmp_path: Path) -> ServeSettings:
    """Of a new data directory."""
    return ServeSettings(data_dir=tmp_path / "data", key_file=tmp_path / "key")


def test_a_wrong_catalog_is_refused_before_code_is_compiled(
    tmp_path: Path, warmed: list[str]
) -> None:
    """Compiling may take ten seconds: nobody waits for them to learn of a mistake."""
    catalog = tmp_path / "catalog.toml"
    catalog.write_text("schema = 2", encoding="utf-8")
    with pytest.raises(CatalogError):
        preparation.prepare(settings(tmp_path), catalog)
    with pytest.raises(InvalidRolloutError):
        preparation.prepare(settings(tmp_path), None)
    assert warmed == []


def test_code_is_compiled_once_all_is_well(tmp_path: Path, warmed: list[str]) -> None:
    """With a catalog that is put into force, and with the one that is."""
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(CATALOG, encoding="utf-8")
    preparation.prepare(settings(tmp_path), catalog)
    preparation.prepare(settings(tmp_path), None)
    assert warmed == ["warm", "warm"]
