"""Which attempts had begun when the process ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.durable import Begun, StoreUnavailable
from tocsin.durable._starts import SLOT, Starts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.db-starts"


@pytest.fixture
def starts(path: Path) -> Iterator[Starts]:
    opened = Starts(path)
    yield opened
    opened.close()


def test_what_has_begun_is_read_by_whoever_opens_the_file_next(path: Path, starts: Starts) -> None:
    starts.begin(5, 1)
    starts.begin(6, 2)
    another = Starts(path)
    assert another.read() == {5: Begun(1, has_ended=False), 6: Begun(2, has_ended=False)}
    another.close()


def test_what_has_ended_is_no_suspect_and_what_was_handled_is_known(starts: Starts) -> None:
    failed, handled = starts.begin(5, 1), starts.begin(6, 1)
    starts.over(failed, 5, 1, handled=False)
    starts.over(handled, 6, 1, handled=True)
    assert starts.read() == {5: Begun(1, has_ended=True), 6: Begun(1, has_ended=True, was_handled=True)}


def test_a_slot_that_is_free_says_nothing_and_is_used_again(path: Path, starts: Starts) -> None:
    starts.end(starts.begin(5, 1))
    assert starts.read() == {}
    starts.begin(6, 1)
    assert path.stat().st_size == SLOT.size


def test_a_slot_whose_attempt_has_ended_goes_on_saying_so_until_it_is_used_again(path: Path, starts: Starts) -> None:
    slot = starts.begin(5, 1)
    starts.over(slot, 5, 1, handled=True)
    starts.end(slot)
    assert starts.read() == {5: Begun(1, has_ended=True, was_handled=True)}  # of a delivery that is gone by now
    starts.end(starts.begin(6, 1))
    assert starts.read() == {}
    assert path.stat().st_size == SLOT.size


def test_of_two_attempts_of_one_delivery_the_later_one_counts(starts: Starts) -> None:
    first = starts.begin(5, 1)
    starts.begin(5, 2)
    starts.over(first, 5, 1, handled=False)
    assert starts.read() == {5: Begun(2, has_ended=False)}
    starts.end(first)
    starts.begin(7, 1)
    starts.begin(5, 1)
    assert starts.read()[5] == Begun(2, has_ended=False)


@pytest.mark.parametrize("length", range(1, SLOT.size))
def test_what_was_torn_while_it_was_written_has_not_begun(path: Path, starts: Starts, length: int) -> None:
    starts.begin(5, 1)
    data = path.read_bytes()
    path.write_bytes(data[:length])
    assert starts.read() == {}
    path.write_bytes(data[:length] + bytes(SLOT.size - length) if any(data[length:]) else b"")
    assert starts.read() == {}


def test_cleared_it_is_empty(path: Path, starts: Starts) -> None:
    starts.begin(5, 1)
    starts.clear()
    assert (starts.read(), path.stat().st_size) == ({}, 0)
    assert starts.begin(6, 1) == 0


def test_closed_it_writes_into_nobody_else_s_file(path: Path) -> None:
    starts = Starts(path)
    starts.close()
    with open(path.with_name("other"), "wb") as other:  # has the number that ours had
        with pytest.raises(OSError, match="Bad file descriptor"):
            starts.begin(5, 1)
        assert os.fstat(other.fileno()).st_size == 0


def test_it_is_for_its_owner_alone(path: Path, starts: Starts) -> None:
    starts.begin(5, 1)
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match=r"link.*cannot be opened"):
        Starts(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()
