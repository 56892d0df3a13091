"""Where Bellwether runs: a private Ray on one machine, or the cluster that a job was submitted to."""
