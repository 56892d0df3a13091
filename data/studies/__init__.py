"""Studies of the market itself: what a published result comes to on other data."""
