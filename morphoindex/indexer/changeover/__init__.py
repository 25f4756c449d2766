"""From one encoder of an index to another."""
