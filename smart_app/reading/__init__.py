"""The reading room: records of a case on one axis of time, laboratory values with their course."""
