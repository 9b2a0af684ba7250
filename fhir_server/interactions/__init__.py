"""The RESTful interactions, one plain function a file, free of HTTP.  https://hl7.org/fhir/R4/http.html"""
