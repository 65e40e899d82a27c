"""Numbers and expressions that record what an author's code computes from dimensions."""
