"""One retrieval, in steps that a kill cannot hurt: list, fetch, list again, judge."""
