"""Does a text ask for training data, and for which: a small linear model over the words of one sentence or
two."""
