"""A new request: the chart, prior imaging, the letter, and the one transaction that sends it."""
