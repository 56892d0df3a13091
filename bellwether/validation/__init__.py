"""How predictions are judged.

Which rows: `walk_forward` (`split` is the way in to every kind), `combinatorial`, and what both share in `folds`;
`uniqueness` says how much a training row counts.

One figure: `evaluation` is what was said beside what came; `scores` is the table of every score by name, made of
`metrics` (of classes), `probability_metrics`, `regression_metrics` and `correlation`.

How sure: `bootstrap` makes intervals; `paired` and `diebold_mariano` compare a model with a baseline; `gate` decides on
promotion; `index_score` holds an index signal against the index; `sharpe` is for returns, and no sweep reads it.
"""
