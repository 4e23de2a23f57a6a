"""MODULE:BUS: names, and nothing that could be evaluated."""

from __future__ import annotations

import pytest

from tocsin.cli._target import Target, parse_target


def test_names_with_dots_are_taken_on_both_sides() -> None:
    assert parse_target("shop.daemon:app.bus") == Target("shop.daemon", ("app", "bus"))


def test_a_target_reads_as_it_was_written() -> None:
    assert str(parse_target("shop.daemon:app.bus")) == "shop.daemon:app.bus"


@pytest.mark.parametrize("text", ["", ":", "shop", "shop:", ":bus", "shop.daemon.bus"])
def test_what_names_no_module_or_no_bus_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^'{text}': must be MODULE:BUS"):
        parse_target(text)


@pytest.mark.parametrize(
    "text",
    ["shop:make()", "shop:a[0]", "../shop:bus", "shop/daemon:bus", "shop:bus:bus", "shop..daemon:bus", "shop:a b",
     "shop:lambda", "shop:1", "-m:bus", "shop:bus\n", "shop:bus or 1"],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no name|must be MODULE:BUS"):
        parse_target(text)


@pytest.mark.parametrize("text", ["shop:__builtins__", "__main__:bus", "shop:bus.__class__"])
def test_names_with_two_underscores_in_front_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="two underscores"):
        parse_target(text)


def test_a_refusal_is_one_printable_line() -> None:
    with pytest.raises(ValueError, match=r"no name") as refused:
        parse_target("shop:\x1b[31m\nbus")
    assert str(refused.value).isprintable()
