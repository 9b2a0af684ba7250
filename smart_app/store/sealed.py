"""JSON under seal: models as the bytes that stand in the database."""

from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from konsil.secrets import open_, seal

Model = TypeVar("Model", bound=BaseModel)


def seal_model(model: BaseModel) -> bytes:
    """A model as sealed JSON."""
    return seal(model.model_dump_json().encode())


def open_model(kind: type[Model], sealed: bytes) -> Model:
    """The model that `seal_model` sealed."""
    return kind.model_validate_json(open_(sealed))


def seal_json(value: Any) -> bytes:
    """Any JSON value, sealed."""
    return seal(orjson.dumps(value))


def open_json(sealed: bytes) -> Any:
    """The JSON value that `seal_json` sealed."""
    return orjson.loads(open_(sealed))
