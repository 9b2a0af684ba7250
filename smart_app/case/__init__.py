"""The second-opinion case as the screens read it: states, status in words, everything that belongs to one case."""
