"""Readers of inventories, one format per file; each returns `priors.inventory.Inventory`."""
