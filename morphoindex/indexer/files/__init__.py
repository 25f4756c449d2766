"""Names, tables and records on a disk, written whole or not at all."""
