"""The whole platform with real peers."""
