"""What families of trees are made of: trees as arrays, boosting and forests of them, what explains and serves them."""
