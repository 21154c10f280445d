"""The pages: ask with a picture, see the catalog's look-alikes."""
