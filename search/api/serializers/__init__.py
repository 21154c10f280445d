"""What goes in and out of the API, a resource a file."""
