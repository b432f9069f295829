"""Plug-ins for gateways and servers: they ask ``stillwatch watch`` what to do with a request, and do it.

Only the standard library is imported here, so a gateway takes them up with ``pip install --no-deps stillwatch``; what
belongs to the gateway itself (LiteLLM's base class) is imported by the one file that is for it.
"""
