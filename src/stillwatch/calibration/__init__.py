"""The guarantee: a bar calibrated on clean traffic, the log's own null, people's decisions, and what to review."""
