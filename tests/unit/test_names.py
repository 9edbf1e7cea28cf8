"""Fully qualified names and links to entities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisched.domain import names


@pytest.mark.parametrize(
    ("name", "expected"),
    [("orders", "orders"), ("a.b", '"a.b"'), ("a/b c", "a/b c"), ('"a.b"', '"a.b"'), ('"plain"', "plain")],
)
def test_a_name_is_quoted_when_it_needs_to_be(name: str, expected: str) -> None:
    assert names.part(name) == expected


def test_names_are_joined_below_a_parent_that_is_an_fqn_already() -> None:
    assert names.join('shop."my.db"', "public", "a.b") == 'shop."my.db".public."a.b"'
    assert names.join(None, "shop") == "shop"


@pytest.mark.parametrize(
    ("fqn", "parts"),
    [
        ("shop", ["shop"]),
        ('shop."my.db".public', ["shop", "my.db", "public"]),
        ('shop."a \\"b\\".c"', ["shop", 'a "b".c']),
        ("", []),
    ],
)
def test_an_fqn_is_split_at_the_dots_outside_quotes(fqn: str, parts: list[str]) -> None:
    assert names.split(fqn) == parts


@given(st.lists(st.text(alphabet="ab./ é", min_size=1), min_size=1, max_size=5))
def test_what_was_joined_is_split_again(parts: list[str]) -> None:
    assert names.split(names.join(None, *parts)) == parts


@given(st.text())
def test_no_text_breaks_the_split(text: str) -> None:
    names.split(text)


def test_a_link_points_to_a_table_or_to_a_column_of_it() -> None:
    table = names.parse_link("<#E::table::shop.db.public.orders>")
    assert table is not None
    assert (table.entity_type, table.target_fqn) == ("table", "shop.db.public.orders")
    column = names.parse_link("<#E::table::shop.db.public.orders::columns::first+name>")
    assert column is not None
    assert column.target_fqn == "shop.db.public.orders.first name"


@pytest.mark.parametrize("text", [None, 7, "", "table::x", "<#E::table>", "<#E::::x>", "<#E::table::x"])
def test_other_texts_are_no_links(text: object) -> None:
    assert names.parse_link(text) is None
