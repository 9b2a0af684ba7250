"""Who received, sent, asked for or looked at imaging: put down here, told to the FHIR server's audit."""
