"""A validator over R4's definitions, those of profiles/, and what a test adds."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from fhir_server.conformance.canonicals import Canonicals
from fhir_server.conformance.shelf import open_shelf
from fhir_server.definitions import default_profiles, load, read_profiles
from fhir_server.settings import default_definitions
from fhir_server.terminology.membership import Terminology
from fhir_server.validation.validator import Validator


def a_validator(extra: Sequence[dict[str, Any]] = ()) -> Validator:
    package = default_definitions()
    own = [*read_profiles(default_profiles()), *extra]
    return Validator(load(package), Terminology(Canonicals(open_shelf(package), own)))


@cache
def shared() -> Validator:
    return a_validator()


@pytest.fixture(scope="session")
def validator() -> Validator:
    return shared()
