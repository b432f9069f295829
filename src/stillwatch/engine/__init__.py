"""Engines: what runs the signals' SQL. Only the files in here name one."""
