"""The Hydra application: cases, tasks, products and the report."""
