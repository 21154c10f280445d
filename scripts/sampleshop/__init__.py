"""The sample shop: things that never existed, modelled and photographed by program."""
