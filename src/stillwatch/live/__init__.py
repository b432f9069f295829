"""Detection as traffic happens: what is known so far is looked at again and again, with the functions of a scan."""
