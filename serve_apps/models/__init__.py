"""Which versions of which models answer, and how a running replica comes by them."""
