"""How predictions are judged: walk-forward splits, scores, bootstrap intervals and the promotion gate."""
