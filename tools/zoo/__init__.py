"""How many of MMDetection's configs run here: the parts of `tools/zoo_report.py`."""
