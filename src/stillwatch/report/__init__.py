"""What a scan found, for people: the page, its charts, the terminal summary and the explanation of one id.

Everything here reads the JSON-able result of a scan (``overview.json``, ``campaigns.json``) and the
result tables; nothing here judges. The same result gives the same bytes: no clock, no randomness.
"""
