"""System checks of the catalog."""
