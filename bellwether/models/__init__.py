"""Model families, by name. A new one is a file here and a line in the table."""

from __future__ import annotations

from bellwether.errors import ConfigError
from bellwether.models.base import Family
from bellwether.table import Places, entry

FAMILIES: Places = {
    "majority": ("bellwether.models.majority", "MAJORITY"),
    "stratified": ("bellwether.models.stratified", "STRATIFIED"),
    "persistence": ("bellwether.models.persistence", "PERSISTENCE"),
    "last_return": ("bellwether.models.last_return", "LAST_RETURN"),
    "ewma": ("bellwether.models.ewma", "EWMA"),
    "ridge_window": ("bellwether.models.ridge_window", "RIDGE_WINDOW"),
    "linear": ("bellwether.models.linear", "LINEAR"),
    "ridge": ("bellwether.models.ridge", "RIDGE"),
    "elastic_net": ("bellwether.models.elastic_net", "ELASTIC_NET"),
    "logistic": ("bellwether.models.logistic", "LOGISTIC"),
    "svc": ("bellwether.models.svc", "SVC"),
    "mlp": ("bellwether.models.mlp", "MLP"),
    "random_forest": ("bellwether.models.random_forest", "RANDOM_FOREST"),
    "extra_trees": ("bellwether.models.extra_trees", "EXTRA_TREES"),
    "gradient_boosting": ("bellwether.models.gradient_boosting", "GRADIENT_BOOSTING"),
    "hist_gradient_boosting": ("bellwether.models.hist_gradient_boosting", "HIST_GRADIENT_BOOSTING"),
    "lightgbm": ("bellwether.models.lightgbm", "LIGHTGBM"),
    "xgboost": ("bellwether.models.xgboost", "XGBOOST"),
    "rnn": ("bellwether.models.rnn", "RNN"),
    "gru": ("bellwether.models.gru", "GRU"),
    "lstm": ("bellwether.models.lstm", "LSTM"),
    "attention_lstm": ("bellwether.models.attention_lstm", "ATTENTION_LSTM"),
    "mlplob": ("bellwether.models.mlplob", "MLPLOB"),
    "online": ("bellwether.models.online", "ONLINE"),
    "bayes_net": ("bellwether.models.bayes_net", "BAYES_NET"),
    "arma_garch": ("bellwether.models.arma_garch", "ARMA_GARCH"),
    "pairs": ("bellwether.models.pairs", "PAIRS"),
    "hawkes": ("bellwether.models.hawkes", "HAWKES"),
    "queue_depletion": ("bellwether.models.queue_depletion", "QUEUE_DEPLETION"),
    "bayes": ("bellwether.models.bayes", "BAYES"),
    "soft_vote": ("bellwether.models.soft_vote", "SOFT_VOTE"),
    "stacking": ("bellwether.models.stacking", "STACKING"),
}
"""Where each family is: module and name in it, imported when first asked for."""

BASELINES = ("majority", "stratified", "persistence", "last_return", "ewma", "ridge_window")
"""The families that are references to beat: known here, so that running them all imports no other family's library."""

EXTRAS = {"torch": "neural", "statsmodels": "econometrics", "shap": "explain"}
"""The extra of the distribution that brings a library which only some families need."""


def family_names() -> tuple[str, ...]:
    """All names in the table, baselines first."""
    return tuple(FAMILIES)


def family(name: str) -> Family:
    """Return the family called ``name`` in the table.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.
    ConfigError
        It needs a library that is not installed; the message has the command that installs it.

    >>> family("majority").baseline
    True
    """
    try:
        found: Family = entry("model family", FAMILIES, name)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        extra = EXTRAS[library]
        raise ConfigError(f"{name} needs {library}: pip install 'bellwether[{extra}]', or leave it out") from error
    return found
