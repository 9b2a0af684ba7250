"""The XML form of resources, made from the definitions.  https://hl7.org/fhir/R4/xml.html"""

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
