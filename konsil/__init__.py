"""The kernel: what every program needs and none is about."""
