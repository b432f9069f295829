"""Innocent populations: each file plans the exchanges of one kind of customer, or of a few that are alike."""
