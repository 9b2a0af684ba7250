"""Functions by name, one file for each section of https://hl7.org/fhirpath/N1/#functions and one for FHIR's own."""

from fhir_server.fhirpath.functions import collections, conversion, fhir, numbers, strings
from fhir_server.fhirpath.functions.function import Function

FUNCTIONS: dict[str, Function] = {
    **collections.FUNCTIONS,
    **conversion.FUNCTIONS,
    **fhir.FUNCTIONS,
    **numbers.FUNCTIONS,
    **strings.FUNCTIONS,
}
