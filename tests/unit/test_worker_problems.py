"""One readable line per problem of a model, and no value of the document in any of them."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic.v1 import BaseModel as OldModel
from pydantic.v1 import Extra
from pydantic.v1 import ValidationError as OldValidationError

from minisched.worker.problems import problems_of

SECRET = "hunter22"


class Level(Enum):
    INFO = "INFO"


class Cloud(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["cloud"]
    token: str
    account: int


class Local(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["local"]
    path: str


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")
    threads: int | None = None
    level: Level | None = None
    where: Cloud | Local | None = None
    limits: list[int] = []
    word: str = ""

    @field_validator("word")
    @classmethod
    def _says_too_much(cls, value: str) -> str:
        if value:
            raise ValueError(f"cannot use {value}")
        return value


class OldConfig(OldModel):
    threads: int
    word: str = ""

    class Config:
        extra = Extra.forbid


def lines(document: Any, *within: str) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(document)
    return list(problems_of(caught.value, document, within))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"tpyo": SECRET}, "Extra parameter 'tpyo'"),
        ({"where": {"type": "cloud", "account": 1}}, "Missing parameter 'token' in 'where'"),
        ({"where": {"type": "local", "path": [SECRET]}}, "Invalid parameter value for 'path' in 'where': "),
        ({"level": SECRET}, "Invalid parameter value for 'level': Input should be 'INFO'"),
        ({"limits": [1, SECRET]}, "Invalid parameter value for '1' in 'limits': Input should be a valid integer"),
        ({"word": SECRET}, "Invalid parameter value for 'word'"),
        (SECRET, "Input should be a valid dictionary"),
    ],
)
def test_a_line_says_what_and_where_and_not_the_value(document: Any, expected: str) -> None:
    [line] = lines(document)
    assert line.startswith(expected)
    assert SECRET not in line


def test_problems_are_found_where_the_document_is() -> None:
    found = lines({"threads": SECRET, "where": {"type": "cloud"}}, "sourceConfig", "config")
    assert [line.partition(":")[0] for line in found] == [
        "Invalid parameter value for 'threads' in 'sourceConfig.config'",
        "Missing parameter 'token' in 'sourceConfig.config.where'",
        "Missing parameter 'account' in 'sourceConfig.config.where'",
    ]


def test_models_of_the_older_pydantic() -> None:
    document = {"threads": SECRET, "tpyo": SECRET}
    with pytest.raises(OldValidationError) as caught:
        OldConfig.parse_obj(document)
    assert list(problems_of(caught.value, document)) == [
        "Invalid parameter value for 'threads': value is not a valid integer",
        "Extra parameter 'tpyo'",
    ]
    with pytest.raises(OldValidationError) as caught:
        OldConfig.parse_obj({})
    assert list(problems_of(caught.value, {})) == ["Missing parameter 'threads'"]
