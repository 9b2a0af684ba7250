"""Set-up of a source tree, on the system's python3: nothing is installed yet when it runs."""
