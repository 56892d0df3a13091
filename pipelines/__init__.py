"""The jobs a person or ``ray job submit`` starts, the command line, and the recipes."""
