"""Cloud or on-premise: the same work on rented and on owned machines, with a range for every result."""
