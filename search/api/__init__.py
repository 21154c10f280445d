"""The REST API under /api/v1/: resources, keys, limits and one error shape."""
