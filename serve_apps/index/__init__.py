"""The index signal: shards of components, and the ingress that composes what they say."""
