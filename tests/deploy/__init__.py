"""Set-up and the sandbox."""
