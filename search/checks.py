"""System checks of the search side."""
