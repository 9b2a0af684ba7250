"""Which released studies go where by themselves, and what is changed of them on the way: rules as data."""
