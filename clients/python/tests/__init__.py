"""`python -m unittest` in the directory of the package; frameworks that are not installed are skipped by name."""
