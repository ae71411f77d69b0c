"""How fast a model grows old: it is trained at moments of the past, and scored on what came after."""
