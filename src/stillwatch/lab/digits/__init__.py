"""Handwritten digits: the papers' tables that run on a CPU, on the images that the papers used."""
