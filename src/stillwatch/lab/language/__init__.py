"""Language models of the transformers library: loading, shrinking, asking, and TRL's trainers behind one interface."""
