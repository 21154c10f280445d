"""Picture -> descriptor. Plain Python over NumPy arrays: no Django, torch only in the torch runtime."""
