"""Pure functions that build the objects which the operator creates."""
