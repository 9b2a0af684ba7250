"""How konsil is run."""
