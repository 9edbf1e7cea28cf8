"""The tests that OpenMetadata brings along: their names, parameters and the columns that they fit (public facts).

A workflow asks for them by name and id before it runs a test; the validator class is what 1.12 and later import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from minisched.domain.pipeline import Document

_NUMBERS = (
    "NUMBER", "TINYINT", "SMALLINT", "INT", "BIGINT", "BYTEINT", "FLOAT", "DOUBLE", "DECIMAL", "NUMERIC", "LONG",
)  # fmt: skip
_TIMES = ("TIMESTAMP", "TIME", "DATE", "DATETIME")
_TEXTS = ("STRING", "MEDIUMTEXT", "TEXT", "CHAR", "VARCHAR", "UUID", "ENUM")
_OTHERS = ("BYTES", "BOOLEAN", "BINARY", "VARBINARY", "ARRAY", "BLOB", "MAP", "STRUCT", "UNION", "SET", "JSON")
_ANY = (*_NUMBERS, *_TIMES, *_TEXTS, *_OTHERS)
_SCALAR = (*_NUMBERS, *_TIMES, *_TEXTS, "BOOLEAN")

# `name:TYPE` for each parameter, with `!` when it is required.
_COLUMN_TESTS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "columnValueLengthsToBeBetween": ((*_TEXTS, "BYTES", "ARRAY"), "minLength:INT maxLength:INT"),
    "columnValueMaxToBeBetween": (_NUMBERS, "minValueForMaxInCol:FLOAT maxValueForMaxInCol:FLOAT"),
    "columnValueMeanToBeBetween": (_NUMBERS, "minValueForMeanInCol:FLOAT maxValueForMeanInCol:FLOAT"),
    "columnValueMedianToBeBetween": (_NUMBERS, "minValueForMedianInCol:FLOAT maxValueForMedianInCol:FLOAT"),
    "columnValueMinToBeBetween": (_NUMBERS, "minValueForMinInCol:FLOAT maxValueForMinInCol:FLOAT"),
    "columnValueStdDevToBeBetween": (_NUMBERS, "minValueForStdDevInCol:FLOAT maxValueForStdDevInCol:FLOAT"),
    "columnValuesMissingCount": (_ANY, "missingCountValue:INT! missingValueMatch:STRING"),
    "columnValuesSumToBeBetween": (_NUMBERS, "minValueForColSum:FLOAT maxValueForColSum:FLOAT"),
    "columnValuesToBeAtExpectedLocation": (
        _TEXTS,
        "locationReferenceType:STRING! longitudeColumnName:STRING! latitudeColumnName:STRING! radius:FLOAT!",
    ),
    "columnValuesToBeBetween": ((*_NUMBERS, *_TIMES), "minValue:FLOAT maxValue:FLOAT"),
    "columnValuesToBeInSet": (_SCALAR, "allowedValues:ARRAY! matchEnum:BOOLEAN"),
    "columnValuesToBeNotInSet": (_SCALAR, "forbiddenValues:ARRAY!"),
    "columnValuesToBeNotNull": (_ANY, ""),
    "columnValuesToBeUnique": (_ANY, ""),
    "columnValuesToMatchRegex": (_TEXTS, "regex:STRING!"),
    "columnValuesToNotMatchRegex": (_TEXTS, "forbiddenRegex:STRING!"),
}
_TABLE_TESTS: Mapping[str, str] = {
    "tableColumnCountToBeBetween": "minColValue:INT maxColValue:INT",
    "tableColumnCountToEqual": "columnCount:INT!",
    "tableColumnNameToExist": "columnName:STRING!",
    "tableColumnToMatchSet": "columnNames:STRING! ordered:BOOLEAN",
    "tableCustomSQLQuery": "sqlExpression:STRING! strategy:STRING operator:STRING threshold:NUMBER "
    "partitionExpression:STRING",
    "tableDiff": "table2:STRING! keyColumns:ARRAY useColumns:ARRAY threshold:NUMBER where:STRING "
    "caseSensitiveColumns:BOOLEAN",
    "tableRowCountToBeBetween": "minValue:INT maxValue:INT",
    "tableRowCountToEqual": "value:INT!",
    "tableRowInsertedCountToBeBetween": "min:INT max:INT columnName:STRING! rangeType:STRING! rangeInterval:INT!",
}
_ROW_LEVEL = frozenset(name for name in _COLUMN_TESTS if name.startswith("columnValuesTo")) | {
    "columnValueLengthsToBeBetween"
}


def standard_test_definitions() -> Iterator[Document]:
    """Create requests, with what only the server sets."""
    for name, (types, parameters) in _COLUMN_TESTS.items():
        yield _definition(name, "COLUMN", parameters) | {"supportedDataTypes": list(types)}
    for name, parameters in _TABLE_TESTS.items():
        yield _definition(name, "TABLE", parameters)


def _definition(name: str, entity_type: str, parameters: str) -> Document:
    return {
        "name": name,
        "displayName": name,
        "description": f"The test {name} of OpenMetadata.",
        "entityType": entity_type,
        "testPlatforms": ["OpenMetadata"],
        "parameterDefinition": [_parameter(text) for text in parameters.split()],
        "provider": "system",
        "supportsRowLevelPassedFailed": name in _ROW_LEVEL,
        "validatorClass": f"{name[0].upper()}{name[1:]}Validator",
    }


def _parameter(text: str) -> Document:
    name, data_type = text.split(":")
    return {
        "name": name,
        "displayName": name,
        "description": f"The parameter {name}.",
        "dataType": data_type.rstrip("!"),
        "required": data_type.endswith("!"),
    }
