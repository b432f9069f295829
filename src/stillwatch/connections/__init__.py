"""What to paste into other programs, a text each; ``stillwatch connect`` prints them."""
