"""From the raw market to model-ready panels. Market data itself lives in the lake."""
