"""What every app does the same over HTTP: who may ask, how it refuses, what it writes down of a request."""
