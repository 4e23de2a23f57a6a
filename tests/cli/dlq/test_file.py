"""Where an export goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.cli._dlq._file import CannotWrite, written


def write(path: Path, *lines: str, force: bool = False) -> None:
    with written(path, force=force) as line:
        for each in lines:
            line(each)


def test_a_file_has_the_lines_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    write(tmp_path / "out", "a", "b")
    assert (tmp_path / "out").read_text() == "a\nb\n"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    write(tmp_path / "out", "a")
    with pytest.raises(CannotWrite, match=r"out is there already: say --force"):
        write(tmp_path / "out", "b")
    assert (tmp_path / "out").read_text() == "a\n"


def test_one_that_comes_meanwhile_stays_too(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match=r"out is there already"), written(tmp_path / "out", force=False):
        (tmp_path / "out").write_text("theirs")
    assert (tmp_path / "out").read_text() == "theirs"


def test_if_it_must_be_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    (tmp_path / "out").chmod(0o644)
    write(tmp_path / "out", "b", force=True)
    assert (tmp_path / "out").read_text() == "b\n"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "out").symlink_to(tmp_path / "theirs")
    write(tmp_path / "out", "b", force=True)
    assert (tmp_path / "theirs").read_text() == "theirs"


@pytest.mark.parametrize("force", [True, False])
def test_what_was_not_written_to_its_end_leaves_nothing(tmp_path: Path, force: bool) -> None:
    with pytest.raises(UnicodeEncodeError):
        write(tmp_path / "out", "a", "\xfc", force=force)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match=r"none/out cannot be written: No such file"):
        write(tmp_path / "none" / "out", "a")
