"""One file a page: its routes in a ``router``, of which each says which role it takes."""
