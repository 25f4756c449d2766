"""What an index has to show: tables, vectors, maps, contact sheets, folders."""
