"""From a source into the lake: screened, quarantined with a reason, merged, reported."""
