"""An author's methods as expressions and branches: what C++ is written from."""
