"""The evaluator of Python configs: a config is data, read from its syntax tree, and never run."""
