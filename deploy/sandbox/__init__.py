"""A pretend hospital: its EHR, its outside PACS and their data."""
