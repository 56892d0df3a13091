"""What apps over order books have in common: rows of the lake and of requests, as models were trained on them."""
