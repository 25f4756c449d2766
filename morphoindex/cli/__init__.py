"""The command line: parse, call Index, render."""
