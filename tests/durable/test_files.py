"""What is asked of the file of a store before anything is written to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tocsin.durable import StoreUnavailable
from tocsin.durable._files import identity, prepare


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    prepare(tmp_path / "bus.db")
    assert (tmp_path / "bus.db").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "bus.db"
    path.write_bytes(b"there")
    path.chmod(0o640)
    prepare(path)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"there", 0o640)


def test_a_link_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match="is no regular file"):
        prepare(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_with_two_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bus.db").touch(0o600)
    os.link(tmp_path / "bus.db", tmp_path / "other")
    with pytest.raises(StoreUnavailable, match="it has 2 names"):
        prepare(tmp_path / "bus.db")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "bus.db").touch()
    (tmp_path / "bus.db").chmod(mode)
    with pytest.raises(StoreUnavailable, match=r"others may write to it.*chmod go-w"):
        prepare(tmp_path / "bus.db")


def test_a_folder_in_which_everybody_may_rename_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(StoreUnavailable, match="everybody may replace files"):
        prepare(tmp_path / "open" / "bus.db")


def test_a_folder_in_which_everybody_may_rename_only_his_own_is_not(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)
    prepare(tmp_path / "open" / "bus.db")


def test_fault_I3_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"missing.*No such file or directory"):
        prepare(tmp_path / "missing" / "bus.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bus.db").touch(0o600)
    os.chown(tmp_path / "bus.db", 12345, -1)
    with pytest.raises(StoreUnavailable, match="belongs to user 12345"):
        prepare(tmp_path / "bus.db")


def test_another_file_at_the_same_place_has_another_identity(tmp_path: Path) -> None:
    path = tmp_path / "bus.db"
    prepare(path)
    first = identity(path)
    path.rename(tmp_path / "moved")
    prepare(path)
    assert identity(path) != first
    assert identity(tmp_path / "moved") == first
