"""Judge what a challenger did in the shadow of the champion."""
