"""Search without a database: parsing queries, and index rows out of resources.  https://hl7.org/fhir/R4/search.html"""
