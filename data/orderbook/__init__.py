"""The order book by price level: rebuilt message by message, saying what it knows and what it does not."""
