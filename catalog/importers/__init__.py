"""Imports: sources of rows (folder, table, archive, guide layout, list of URLs) and the loop that takes them in."""
