"""PTX as text: its syntax, and what reads it."""
