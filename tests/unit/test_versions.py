"""The version rule between an OpenMetadata server and the ingestion package."""

from __future__ import annotations

import pytest

from minisched.domain.versions import UnknownVersion, line_of, same_line


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("2.0.7.0", (2, 0)),
        ("1.12.14.2", (1, 12)),
        ("2.1.0-SNAPSHOT", (2, 1)),
        ("release 1.9.3 of spring", (1, 9)),
        ("10.20.30", (10, 20)),
    ],
)
def test_a_line_is_the_first_two_of_the_first_three_numbers(version: str, line: tuple[int, int]) -> None:
    assert line_of(version) == line


@pytest.mark.parametrize("version", ["dev", "", "2.0", "v2", "2.x.0"])
def test_a_text_without_three_numbers_has_no_line(version: str) -> None:
    with pytest.raises(UnknownVersion, match=r"x\.y\.z"):
        line_of(version)
    with pytest.raises(UnknownVersion):
        same_line("2.0.7", version)
    with pytest.raises(UnknownVersion):
        same_line(version, "2.0.7")


@pytest.mark.parametrize(
    ("server", "client", "accepted"),
    [
        ("2.0.3", "2.0.7.0", True),
        ("2.0.7.0", "2.1.0", False),
        ("1.1.0", "1.1.7.5", True),
        ("1.1.0", "11.1.0", False),
        ("1.12.0", "1.1.2", False),
        # up to 1.0 a server wanted its own x.y.z
        ("1.0.4", "1.0.5.0", False),
        ("1.0.5", "1.0.5.0", True),
        ("0.13.3", "0.13.2", False),
    ],
)
def test_a_server_accepts_its_own_line(server: str, client: str, accepted: bool) -> None:
    assert same_line(server, client) is accepted
