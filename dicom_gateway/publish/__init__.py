"""What the gateway says to the FHIR server, and what it hears from it: plain REST, as any outside client would."""
