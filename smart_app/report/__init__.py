"""The opinion: its words, its PDF, its resources and its signature."""
