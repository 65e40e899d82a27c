"""Write folders for servers without Python: libraries of plugins, models, how to load them."""
